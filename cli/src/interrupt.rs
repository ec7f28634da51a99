//! Ctrl-C: the first asks to come to an end, the second insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Listens from now on. A terminal that is closed, or a session that ends, is the same wish.
    pub fn listen() -> Self {
        let (sender, receiver) = watch::channel(0);
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let sender = sender.clone();
            tokio::spawn(async move {
                // A platform without signals has no Ctrl-C to take care of.
                let Ok(mut signals) = signal(kind) else { return };
                while signals.recv().await.is_some() {
                    sender.send_modify(|count| *count += 1);
                }
            });
        }
        Self(receiver)
    }

    /// One that never comes, and the way to make it come.
    #[cfg(test)]
    pub fn by_hand() -> (watch::Sender<u32>, Self) {
        let (sender, receiver) = watch::channel(0);
        (sender, Self(receiver))
    }

    pub fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    pub async fn asked(&self) {
        self.times(1).await;
    }

    pub async fn insisted(&self) {
        self.times(2).await;
    }

    async fn times(&self, times: u32) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

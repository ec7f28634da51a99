//! Ctrl-C and its kin: the first request lets running work finish, the second does not wait for it.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The number of requests to stop so far.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Listens for signals from now on. SIGTERM and a closed terminal (SIGHUP) count as Ctrl-C.
    pub fn listen() -> Self {
        let (sender, receiver) = watch::channel(0);
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let sender = sender.clone();
            tokio::spawn(async move {
                // A platform without the signal cannot send it.
                let Ok(mut signals) = signal(kind) else { return };
                while signals.recv().await.is_some() {
                    sender.send_modify(|count| *count += 1);
                }
            });
        }
        Self(receiver)
    }

    /// An interrupt for tests, and the sender that requests it.
    #[cfg(test)]
    pub fn manual() -> (watch::Sender<u32>, Self) {
        let (sender, receiver) = watch::channel(0);
        (sender, Self(receiver))
    }

    pub fn is_requested(&self) -> bool {
        *self.0.borrow() > 0
    }

    pub async fn requested(&self) {
        self.count_reaches(1).await;
    }

    pub async fn requested_twice(&self) {
        self.count_reaches(2).await;
    }

    async fn count_reaches(&self, wanted: u32) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|count| *count >= wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

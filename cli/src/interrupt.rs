//! Requests to stop: the first lets running work finish, the second does not wait for it.

use std::future::Future;

use anyhow::Result;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;

use crate::exit::Interrupted;

/// The signal that asked to stop. A closed terminal (SIGHUP) counts as Ctrl-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopSignal {
    #[default]
    Interrupt,
    Terminate,
}

/// The requests to stop so far.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    count: u32,
    first: StopSignal,
}

/// The side that asks to stop.
#[derive(Debug, Clone)]
pub struct InterruptSender(watch::Sender<Requests>);

impl InterruptSender {
    pub fn request(&self, signal: StopSignal) {
        self.0.send_modify(|requests| {
            if requests.count == 0 {
                requests.first = signal;
            }
            requests.count += 1;
        });
    }
}

/// The side that stops.
#[derive(Debug, Clone)]
pub struct Interrupt {
    requests: watch::Receiver<Requests>,
    /// Requests that count for nothing here.
    ignored: u32,
}

impl Interrupt {
    /// Listens for signals from now on.
    pub fn listen() -> Self {
        let (sender, interrupt) = Self::manual();
        let signals = [
            (SignalKind::interrupt(), StopSignal::Interrupt),
            (SignalKind::hangup(), StopSignal::Interrupt),
            (SignalKind::terminate(), StopSignal::Terminate),
        ];
        for (kind, stop_signal) in signals {
            // A platform without the signal cannot send it.
            let Ok(mut signals) = unix::signal(kind) else { continue };
            let sender = sender.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    sender.request(stop_signal);
                }
            });
        }
        interrupt
    }

    /// An interrupt, and the sender that requests it.
    pub fn manual() -> (InterruptSender, Self) {
        let (sender, receiver) = watch::channel(Requests::default());
        (InterruptSender(sender), Self { requests: receiver, ignored: 0 })
    }

    /// An interrupt for work that is left to do after the requests so far, which do not count for it.
    pub fn next(&self) -> Self {
        let ignored = self.requests.borrow().count;
        Self { ignored, ..self.clone() }
    }

    pub fn is_requested(&self) -> bool {
        self.requests.borrow().count > self.ignored
    }

    /// The error of a command that stopped on request.
    pub fn error(&self) -> anyhow::Error {
        Interrupted { signal: self.requests.borrow().first, hidden: 0, in_archive: false }.into()
    }

    /// An error once a request has come: for work that goes step by step.
    pub fn check(&self) -> Result<()> {
        if self.is_requested() { Err(self.error()) } else { Ok(()) }
    }

    /// The result of the future, or an error as soon as a request comes. The future is dropped then.
    pub async fn race<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.requested() => Err(self.error()),
            output = future => Ok(output),
        }
    }

    pub async fn requested(&self) {
        self.count_reaches(1).await;
    }

    pub async fn requested_twice(&self) {
        self.count_reaches(2).await;
    }

    async fn count_reaches(&self, wanted: u32) {
        let mut receiver = self.requests.clone();
        if receiver.wait_for(|requests| requests.count >= self.ignored + wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[tokio::test]
    async fn a_race_ends_with_the_work_or_with_the_request() {
        let (sender, interrupt) = Interrupt::manual();
        assert_eq!(interrupt.race(async { 7 }).await.unwrap(), 7);
        let stopped = interrupt.race(std::future::pending::<()>());
        sender.request(StopSignal::Terminate);
        sender.request(StopSignal::Interrupt);
        assert_eq!(exit::number(&stopped.await.map(|()| exit::Exit::Done)), 143);
        assert!(interrupt.check().is_err());
    }

    #[tokio::test]
    async fn work_that_is_left_to_do_is_stopped_by_the_next_request() {
        let (sender, interrupt) = Interrupt::manual();
        sender.request(StopSignal::Interrupt);
        let next = interrupt.next();
        assert!(interrupt.is_requested() && !next.is_requested());
        assert_eq!(next.race(async { 7 }).await.unwrap(), 7);
        sender.request(StopSignal::Interrupt);
        assert!(next.race(std::future::pending::<()>()).await.is_err());
    }
}

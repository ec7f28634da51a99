//! Messages held while they are looked at, and put back whatever happens.
//!
//! SQS has no peek. A message that is received is hidden for a while, so that one pass over the queue sees each once;
//! when the work is done, fails, panics or is interrupted, all that are still held are shown again at once. Killed
//! outright we can do nothing: then they come back by themselves when the last short timeout ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use hydration::error::Fault;

use crate::exit::Interrupted;
use crate::interrupt::Interrupt;
use crate::ports::{Held, Queue};

/// How long a message stays hidden after we are killed, at most.
pub const HIDDEN: Duration = Duration::from_secs(60);
const EXTEND_EVERY: Duration = Duration::from_secs(20);
/// Messages in one call, the most SQS takes.
const BATCH: usize = 10;
const CALLS_AT_ONCE: usize = 8;

pub struct Hold<'a, Q> {
    pub queue: &'a Q,
    pub interrupt: &'a Interrupt,
    receipts: RefCell<BTreeMap<String, String>>,
}

impl<'a, Q: Queue> Hold<'a, Q> {
    fn new(queue: &'a Q, interrupt: &'a Interrupt) -> Self {
        Self { queue, interrupt, receipts: RefCell::default() }
    }

    /// Keeps a receipt; `false` when the message was held already, by an older one.
    pub fn keep(&self, message_id: &str, receipt: &str) -> bool {
        self.receipts.borrow_mut().insert(message_id.to_owned(), receipt.to_owned()).is_none()
    }

    pub async fn delete(&self, message_id: &str) -> Result<(), Fault> {
        let receipt = self.receipts.borrow().get(message_id).cloned();
        let Some(receipt) = receipt else { return Ok(()) };
        self.queue.delete(&Held { message_id: message_id.to_owned(), receipt }).await?;
        self.receipts.borrow_mut().remove(message_id);
        Ok(())
    }

    /// Shows some of the messages again now.
    pub async fn put_back(&self, message_ids: impl IntoIterator<Item = &str>) {
        let held: Vec<Held> = {
            let mut receipts = self.receipts.borrow_mut();
            let taken = message_ids.into_iter().filter_map(|id| receipts.remove_entry(id));
            taken.map(|(message_id, receipt)| Held { message_id, receipt }).collect()
        };
        self.hide(held, Duration::ZERO).await;
    }

    async fn put_all_back(&self) {
        let held: Vec<String> = self.receipts.borrow().keys().cloned().collect();
        self.put_back(held.iter().map(String::as_str)).await;
    }

    async fn stay_hidden(&self) {
        loop {
            tokio::time::sleep(EXTEND_EVERY).await;
            let receipts = self.receipts.borrow().clone();
            let held = receipts.into_iter().map(|(message_id, receipt)| Held { message_id, receipt }).collect();
            self.hide(held, HIDDEN).await;
        }
    }

    /// A call that fails is not worth stopping for: the message comes back by itself.
    async fn hide(&self, held: Vec<Held>, hide: Duration) {
        let calls = held.chunks(BATCH).map(|batch| self.queue.hide(batch, hide));
        stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).for_each(|_| std::future::ready(())).await;
    }
}

/// Runs the work with what it holds hidden from others, and puts all back that it has not deleted.
pub async fn holding<Q: Queue, T>(
    queue: &Q,
    interrupt: &Interrupt,
    work: impl AsyncFnOnce(&Hold<'_, Q>) -> Result<T>,
) -> Result<T> {
    let hold = Hold::new(queue, interrupt);
    let outcome = tokio::select! {
        outcome = AssertUnwindSafe(work(&hold)).catch_unwind() => outcome,
        () = hold.stay_hidden() => Ok(Err(Interrupted.into())),
        () = interrupt.insisted() => Ok(Err(Interrupted.into())),
    };
    hold.put_all_back().await;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;
    use crate::ports::{Delivery, QueueFacts};

    /// Counts what is hidden.
    #[derive(Default)]
    struct Counted(Cell<i64>);

    impl Queue for Counted {
        async fn describe(&self) -> Result<QueueFacts, Fault> {
            Ok(QueueFacts::default())
        }

        async fn receive(&self, _: Duration) -> Result<Vec<Delivery>, Fault> {
            Ok(Vec::new())
        }

        async fn hide(&self, held: &[Held], hide: Duration) -> Result<(), Fault> {
            assert!(held.len() <= BATCH && hide.is_zero());
            self.0.set(self.0.get() - held.len() as i64);
            Ok(())
        }

        async fn delete(&self, _: &Held) -> Result<(), Fault> {
            self.0.set(self.0.get() - 1);
            Ok(())
        }
    }

    fn take(hold: &Hold<'_, Counted>) {
        for number in 0..25 {
            assert!(hold.keep(&number.to_string(), "receipt"));
        }
        assert!(!hold.keep("0", "a newer receipt"));
        hold.queue.0.set(25);
    }

    #[tokio::test]
    async fn what_was_not_deleted_is_put_back_however_the_work_ends() {
        let (queue, (sender, interrupt)) = (Counted::default(), Interrupt::by_hand());
        holding(&queue, &interrupt, async |hold| {
            take(hold);
            hold.delete("7").await.unwrap();
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(queue.0.get(), 0);

        let failed: Result<()> = holding(&queue, &interrupt, async |hold| {
            take(hold);
            bail!("no")
        })
        .await;
        assert!(failed.is_err() && queue.0.get() == 0);

        let panics = holding(&queue, &interrupt, async |hold| -> Result<()> {
            take(hold);
            panic!("no")
        });
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert_eq!(queue.0.get(), 0);

        let waits = holding(&queue, &interrupt, async |hold| -> Result<()> {
            take(hold);
            sender.send_modify(|times| *times += 2);
            std::future::pending().await
        });
        assert!(waits.await.unwrap_err().is::<Interrupted>());
        assert_eq!(queue.0.get(), 0);
    }
}

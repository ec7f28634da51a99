//! A lease however the work ends.

use anyhow::bail;

use super::*;
use crate::interrupt::StopSignal;
use crate::ports::ReceivedMessage;
use crate::test_support::queue::InMemoryQueue;

/// Leases 25 messages of a queue that has them.
async fn lease_all(lease: &Lease<'_, InMemoryQueue>) {
    loop {
        let received = lease.queue.receive(VISIBILITY_TIMEOUT).await.unwrap();
        if received.is_empty() {
            return assert_eq!(lease.queue.counts().in_flight, 25);
        }
        for message in received {
            assert!(lease.add(&message.message_id, &message.receipt_handle));
            assert!(!lease.add(&message.message_id, &message.receipt_handle));
        }
    }
}

fn queue() -> InMemoryQueue {
    let queue = InMemoryQueue::default();
    (0..25).for_each(|number| drop(queue.send(format!("message {number}"))));
    queue
}

fn context(interrupt: &Interrupt) -> Context<()> {
    Context {
        output: Output::to(false, Box::new(std::io::sink()), Box::new(std::io::sink())),
        interrupt: interrupt.clone(),
        clock: (),
        words: Vec::new(),
        location_flags: String::new(),
    }
}

#[tokio::test]
async fn messages_that_were_not_deleted_are_released_however_the_work_ends() {
    let (sender, interrupt) = Interrupt::manual();
    let context = context(&interrupt);
    let deleting = queue();
    with_lease(&context, &deleting, async |lease| {
        lease_all(lease).await;
        lease.delete("m7").await.unwrap();
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!((deleting.counts().visible, deleting.counts().in_flight), (24, 0));

    let failing = queue();
    let failed: Result<()> = with_lease(&context, &failing, async |lease| {
        lease_all(lease).await;
        bail!("no")
    })
    .await;
    assert!(failed.is_err() && failing.counts().visible == 25);

    let panicking = queue();
    let panics = with_lease(&context, &panicking, async |lease| -> Result<()> {
        lease_all(lease).await;
        panic!("no")
    });
    assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
    assert_eq!(panicking.counts().visible, 25);

    let waiting = queue();
    let waits = with_lease(&context, &waiting, async |lease| -> Result<()> {
        lease_all(lease).await;
        sender.request(StopSignal::Interrupt);
        sender.request(StopSignal::Interrupt);
        std::future::pending().await
    });
    assert!(waits.await.unwrap_err().is::<Interrupted>());
    assert_eq!(waiting.counts().visible, 25);
    assert!([deleting, failing, panicking, waiting].iter().all(|queue| queue.largest_batch() <= MAX_BATCH_ENTRIES));
}

/// A queue whose calls take their time, so that others come between.
struct SlowQueue(InMemoryQueue);

impl Queue for SlowQueue {
    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        self.0.attributes().await
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        self.0.receive(visibility_timeout).await
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.0.change_visibility(receipts, visibility_timeout).await
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        let outcome = self.0.delete(receipt).await;
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        outcome
    }
}

#[tokio::test]
async fn messages_that_are_deleted_meanwhile_do_not_fail_the_extension_of_others() {
    let (_sender, interrupt) = Interrupt::manual();
    let queue = SlowQueue(queue());
    let lease = Lease::new(&queue, &interrupt);
    for message in (0..3).map(|_| queue.receive(VISIBILITY_TIMEOUT)) {
        for message in message.await.unwrap() {
            lease.add(&message.message_id, &message.receipt_handle);
        }
    }
    let deletions = async {
        for number in 0..24 {
            lease.delete(&format!("m{number}")).await.unwrap();
        }
    };
    let (extended, again, ()) = tokio::join!(lease.extend(), lease.extend(), deletions);
    assert_eq!((extended, again, queue.0.counts().in_flight), (Ok(()), Ok(()), 1));
    queue.0.fail("sqs:ChangeMessageVisibility");
    assert!(lease.extend().await.is_err());
}

#[tokio::test]
async fn a_message_that_could_not_be_deleted_is_still_held() {
    let (_sender, interrupt) = Interrupt::manual();
    let context = context(&interrupt);
    let queue = queue();
    with_lease(&context, &queue, async |lease| {
        lease_all(lease).await;
        queue.fail("sqs:DeleteMessage");
        assert!(lease.delete("m7").await.is_err());
        assert_eq!(lease.held(&["m7".to_owned()]).len(), 1);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(queue.counts().visible, 25);
}

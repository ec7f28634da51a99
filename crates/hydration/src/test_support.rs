//! Stand-ins for the world outside the domain, for every test of this workspace (feature `test-support`).
//!
//! They behave like what they stand for, and keep what they were given: a shard that trims and answers in every way
//! that AWS does, a queue and a bucket that refuse to overwrite, a clock that moves only when it is told to.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod outbox;
mod world;

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flate2::Compression;
use flate2::write::GzEncoder;

pub use outbox::{MemoryOutbox, sequence_numbers};
pub use world::{Calls, DAY, InjectedFault, Shard, TrimmedStart, World};

use crate::hydrator::Settings;
use crate::message::part::MAX_PART_BYTES;

/// The result of a future that never waits: no stand-in here does.
pub fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a stand-in of the tests waits"),
    }
}

/// The function's settings where only the queue and a bucket called `overflow` are configured.
pub fn settings() -> Settings {
    Settings {
        max_message_bytes: 1_048_576,
        decoded_view: true,
        overflow_bucket: Some("overflow".to_owned()),
        retry_queue_url: None,
        fifo: false,
        max_part_bytes: MAX_PART_BYTES,
    }
}

/// The data as one gzip member.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

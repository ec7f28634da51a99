//! The test kit: everything outside the domain, in memory (feature `test-support`).
//!
//! - [`SimulatedAws`] behaves as AWS does: a shard that trims records, a queue, a bucket, a clock.
//! - [`ScriptedAws`] gives the replies that a test writes down, and records the calls.
//! - [`MemoryOutbox`] and [`ManualClock`] are the queue, the bucket and the clock alone.
//! - [`InvocationRecordBuilder`] and [`HydratedMessageBuilder`] make the documents.
//!
//! None of it waits, so a test needs no runtime: see [`now_or_never`].

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod clock;
mod histories;
mod invocation_record;
mod message;
mod outbox;
mod records;
mod scripted_aws;
mod simulated_aws;

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flate2::Compression;
use flate2::write::GzEncoder;

pub use clock::{ManualClock, START_MILLIS};
pub use histories::{count_history, histories_to_run};
pub use invocation_record::{DYNAMODB_STREAM_ARN, InvocationRecordBuilder, KINESIS_STREAM_ARN};
pub use message::{BuiltMessage, HydratedMessageBuilder};
pub use outbox::{MemoryOutbox, sequence_numbers};
pub use records::{dynamodb_record, kinesis_record};
pub use scripted_aws::{Reply, ScriptedAws};
pub use simulated_aws::{CallLog, DAY_MILLIS, InjectedFault, SimulatedAws, SimulatedShard, TrimmedStart};

use crate::hydrator::Settings;
use crate::message::part::MAX_PART_BYTES;

/// The result of a future that never waits.
pub fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits, and nothing of the test kit does"),
    }
}

/// The function's settings if only the queue and a bucket called `overflow` are configured.
pub fn settings() -> Settings {
    Settings {
        max_message_bytes: 1_048_576,
        decoded_view: true,
        overflow_bucket: Some("overflow".to_owned()),
        archive: false,
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

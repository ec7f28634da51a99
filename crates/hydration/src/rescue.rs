//! Rescue: batches of the records of a time range, for which Lambda sent no invocation record.
//!
//! The shards of the stream are read one after another, parents before their children, and their records are cut into
//! batches that one invocation takes. The cut depends on the plan and on the records alone. So the same rescue has the
//! same batches with the same ids, wherever it goes on after an interruption.

mod batch;
mod lineage;
mod shard_rescue;

use std::time::Duration;

use crate::arn::StreamArn;
use crate::filter::Filters;
use crate::timestamp::Timestamp;
use crate::walk::POSITION_TOLERANCE;

pub use batch::RescuedBatch;
pub use lineage::{Lineage, ShardEnd};
pub use shard_rescue::{RescueError, ResumePoint, ShardRescue};

/// The `condition` of an invocation record that a rescue wrote.
pub const CONDITION: &str = "Rescued";

/// A time range: `since` is the first millisecond in it, and `until` the first after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub since: Timestamp,
    pub until: Timestamp,
}

impl TimeRange {
    /// A record without an arrival time may be in any range, and must not be lost.
    fn contains(self, arrival: Option<Timestamp>) -> bool {
        arrival.is_none_or(|arrival| self.since <= arrival && arrival < self.until)
    }
}

/// The records to rescue, and the batches to make of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RescuePlan {
    /// The stream, or the consumer, that the mapping names.
    pub stream: StreamArn,
    /// The function that did not process the records, by its whole ARN.
    pub function_arn: String,
    pub range: TimeRange,
    /// The most event records in a batch.
    pub batch_size: u64,
    /// The filters of the mapping. A record that certainly fails them was never to be delivered.
    pub filters: Filters,
    pub retention: Duration,
}

impl RescuePlan {
    /// The time from which shards may hold records of the range. Arrival times are approximate.
    pub fn shards_since(&self) -> Timestamp {
        self.range.since.plus_millis(-(POSITION_TOLERANCE.as_millis() as i64))
    }

    /// Returns true if records of that age may have been trimmed.
    pub fn may_be_trimmed(&self, arrival: Timestamp, now: Timestamp) -> bool {
        now.millis_since(arrival) >= i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX)
    }
}

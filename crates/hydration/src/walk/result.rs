//! The result of a walk: the reason why it stopped, and the parts of the range that were read.

/// The reason why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The record at the end of the range was read, or one after it.
    EndReached,
    /// The shard is closed and was read to its last record.
    ShardClosed,
    /// Everything in the shard was read, or everything that had arrived when the batch did.
    Exhausted,
    /// The stream or the shard does not exist.
    NotFound,
    /// The service rejects the range's sequence number, and no record of the range was found by time.
    NotOfThisStream,
    /// No page brought a record, but the records are too young to be trimmed. This is no verdict.
    Undecided(&'static str),
}

/// The parts of the range that were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeCoverage {
    /// The first record was read.
    pub start: bool,
    /// The last record was read.
    pub end: bool,
    pub any_record: bool,
    /// Records between two that were read were trimmed, or may have been.
    pub gap: bool,
}

impl RangeCoverage {
    /// Every record of the range was read.
    pub fn is_whole(&self) -> bool {
        self.start && self.end && !self.gap
    }
}

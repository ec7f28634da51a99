//! The ports of a run: the log, the state, the topic.

use hydration::error::Fault;
use hydration::timestamp::Timestamp;

use crate::error::DigestError;
use crate::message::Notification;
use crate::report::FailureCounts;
use crate::state::DigestState;
use crate::window::DigestWindow;

/// The state, and the tag of this version of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    pub state: DigestState,
    pub tag: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateWriteError {
    /// The object is not the version that was to be replaced.
    Conflict,
    Fault(Fault),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishError {
    /// The message was not sent, and will not be.
    Refused(Fault),
    /// Nobody knows if the message was sent.
    Unknown(Fault),
}

/// The log lines of the hydrator.
pub trait FailureLog {
    /// Counts the failures of a window. Stops early at `stop_at`, and says so in the counts.
    async fn read(&self, window: &DigestWindow, stop_at: Timestamp) -> Result<FailureCounts, DigestError>;
}

/// The object with the state. Writes are conditional, and a read sees every write that was answered.
pub trait StateStore {
    async fn read(&self) -> Result<Option<StoredState>, DigestError>;

    /// Replaces the version with this tag, or creates the object. Returns the new tag.
    async fn write(&self, state: &DigestState, replaces: Option<&str>) -> Result<String, StateWriteError>;
}

/// The topic that alerts go to.
pub trait AlertTopic {
    /// Publishes once, without trying again. Returns the id of the message.
    async fn publish(&self, notification: &Notification) -> Result<String, PublishError>;
}

//! One run: from the end of the last window to a minute ago, and one message if anything failed in between.
//!
//! A run claims its window before it publishes, and settles it afterwards; both are conditional writes of the state.
//! - Two runs at once: the second finds the claim, or loses the write, and stops.
//! - A run that dies before its claim: the next one reads the same time again.
//! - A run that dies between claim and settling: nobody knows if its message was sent. It is never sent again; the next
//!   run says so in a log line and a metric, and goes on behind it.
//! - A message that SNS refuses was not sent: the claim is taken back and the run fails, so that it is tried again.

use std::time::Duration;

use hydration::ports::Clock;
use hydration::timestamp::Timestamp;

use crate::error::DigestError;
use crate::message::Notification;
use crate::ports::{AlertTopic, FailureLog, PublishError, StateStore, StateWriteError, StoredState};
use crate::report::{DigestReport, StackLinks};
use crate::state::{DigestState, PendingDigest};
use crate::window::{DigestWindow, readable_until};

/// The longest time that publishing may take.
pub const PUBLISH_MILLIS: i64 = 10_000;
/// The time that is kept free after reading: claim, publish, settle.
const AFTER_READING_MILLIS: i64 = PUBLISH_MILLIS + 10_000;
/// The time after a run's deadline in which it may seem to be at work still, because clocks differ.
const CLOCK_SLACK_MILLIS: i64 = 5_000;

/// The end of a run that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DigestEnd {
    /// Nothing failed in the window.
    Nothing,
    Sent {
        message_id: String,
        report: DigestReport,
    },
    /// Nobody knows if the message was sent, or if there was something to send.
    Unknown(DigestReport),
    /// Another run is at work.
    OtherRun,
    /// The last window ended just now.
    TooEarly,
}

/// Events of a run that are told while it goes on.
pub trait DigestEvents {
    /// A message of an earlier run, or of this one, of which nobody knows if it was sent. Or a window without a failure
    /// in the lines that there was time to read.
    fn unknown(&self, window: &DigestWindow);
    /// A time that is not looked at, because the digest was off for too long.
    fn skipped(&self, window: &DigestWindow);
}

pub struct Digest<L, S, T, C> {
    pub log: L,
    pub store: S,
    pub topic: T,
    pub clock: C,
    pub links: StackLinks,
    pub interval: Duration,
    pub delay: Duration,
}

/// The reason why a claim or a settling was not written.
enum NotWritten {
    OtherRun,
    Failed(DigestError),
}

impl<L: FailureLog, S: StateStore, T: AlertTopic, C: Clock> Digest<L, S, T, C> {
    /// Runs once. `run` is a name that no other run has. Nothing is called after `deadline`.
    pub async fn run(
        &self,
        run: &str,
        deadline: Timestamp,
        events: &impl DigestEvents,
    ) -> Result<DigestEnd, DigestError> {
        let to = readable_until(self.clock.now(), millis(self.delay));
        let (before, mut tag) = match self.store.read().await? {
            Some(StoredState { state, tag }) => (state, Some(tag)),
            None => {
                // Written before the log is read: if this run fails, the next one begins at the same time.
                let first = DigestState::starting_at(to.plus_millis(-millis(self.interval)));
                let first = first.settled(run, first.end);
                match self.write(&first, None).await {
                    Ok(written) => (first, Some(written)),
                    Err(NotWritten::OtherRun) => return Ok(DigestEnd::OtherRun),
                    Err(NotWritten::Failed(error)) => return Err(error),
                }
            }
        };
        if before.is_ahead_of(self.clock.now()) {
            return Err(DigestError::StateAhead);
        }
        let mut done_with = before.end;
        if let Some(pending) = &before.pending {
            if self.clock.now() <= pending.until {
                return Ok(DigestEnd::OtherRun);
            }
            events.unknown(&pending.window);
            done_with = done_with.max(pending.window.to);
        }
        let Some((window, skipped)) = DigestWindow::between(done_with, to) else {
            return Ok(DigestEnd::TooEarly);
        };
        if let Some(skipped) = &skipped {
            events.skipped(skipped);
        }
        let counts = self.log.read(&window, deadline.plus_millis(-AFTER_READING_MILLIS)).await?;
        let report = DigestReport::of(counts, window, skipped, &before);
        let after = before.settled(run, window.to);
        if report.is_empty() {
            return match self.write(&after, tag.as_deref()).await {
                Ok(_) if !report.is_whole => {
                    events.unknown(&window);
                    Ok(DigestEnd::Unknown(report))
                }
                Ok(_) => Ok(DigestEnd::Nothing),
                Err(NotWritten::OtherRun) => Ok(DigestEnd::OtherRun),
                Err(NotWritten::Failed(error)) => Err(error),
            };
        }
        let until = deadline.plus_millis(CLOCK_SLACK_MILLIS);
        let claim = before.settled(run, done_with).publishing(run, PendingDigest { window, until });
        match self.write(&claim, tag.as_deref()).await {
            Ok(written) => tag = Some(written),
            Err(NotWritten::OtherRun) => return Ok(DigestEnd::OtherRun),
            Err(NotWritten::Failed(error)) => return Err(error),
        }
        let published = if self.clock.now().plus_millis(PUBLISH_MILLIS) > deadline {
            Err(None)
        } else {
            match self.topic.publish(&Notification::of(&report, &self.links)).await {
                Err(PublishError::Refused(fault)) => Err(Some(fault)),
                Err(PublishError::Unknown(_)) => {
                    events.unknown(&window);
                    Ok(None)
                }
                Ok(message_id) => Ok(Some(message_id)),
            }
        };
        let incidents: Vec<_> = report.incidents.iter().map(|reported| reported.incident.clone()).collect();
        let settled = match &published {
            Ok(_) => after.remembering(&incidents, &window),
            Err(_) => claim.settled(run, done_with),
        };
        // Nobody else replaces a claim before its run has ended, so that this can only fail as a call.
        match self.write(&settled, tag.as_deref()).await {
            Ok(_) | Err(NotWritten::OtherRun) => {}
            Err(NotWritten::Failed(error)) => return Err(error),
        }
        match published {
            Ok(Some(message_id)) => Ok(DigestEnd::Sent { message_id, report }),
            Ok(None) => Ok(DigestEnd::Unknown(report)),
            Err(refused) => Err(refused.map_or(DigestError::NoTimeLeft, DigestError::Call)),
        }
    }

    /// Writes the state. When the write seems to have failed, the object says if it did: an answer may be lost.
    async fn write(&self, state: &DigestState, replaces: Option<&str>) -> Result<String, NotWritten> {
        let error = match self.store.write(state, replaces).await {
            Ok(tag) => return Ok(tag),
            Err(error) => error,
        };
        match (self.store.read().await.map_err(NotWritten::Failed)?, error) {
            (Some(stored), _) if stored.state == *state => Ok(stored.tag),
            (_, StateWriteError::Fault(fault)) => Err(NotWritten::Failed(DigestError::Call(fault))),
            (Some(_), StateWriteError::Conflict) => Err(NotWritten::OtherRun),
            // The object is there for the write and not for the read: S3 says so to a role that may not read it.
            (None, StateWriteError::Conflict) => {
                Err(NotWritten::Failed(DigestError::StateUnreadable("the overflow bucket".to_owned())))
            }
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

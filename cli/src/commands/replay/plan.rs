//! The plan of a replay: the messages to run, their order, and the reasons why others are not run.

use std::collections::{BTreeMap, HashMap};

use hydration::message::part::MAX_EVENT_BYTES;
use hydration::verdict::Status;

use crate::commands::replay::audit::{BatchHistory, History, RecordRange, function_key};
use crate::commands::replay::options::{InDoubt, ReplayOptions};
use crate::queue::hydrated_message::HydratedMessage;

/// Reasons why a message is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    Superset,
    TooLarge,
    InDoubt,
    NothingToRun,
    /// A pipe failed, or the source is unknown.
    NoFunction,
    /// Its body cannot be read.
    Unreadable,
    /// An earlier run knew fewer records of it than there are.
    CopiesDiffer,
}

impl RefusalReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superset => "superset",
            Self::TooLarge => "tooLarge",
            Self::InDoubt => "inDoubt",
            Self::NothingToRun => "nothingToRun",
            Self::NoFunction => "noFunction",
            Self::Unreadable => "unreadable",
            Self::CopiesDiffer => "copiesDiffer",
        }
    }

    /// The meaning of the reason, and the next step.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Superset => "a superset: it would run records that had succeeded; --include-superset runs it",
            Self::TooLarge => "larger than the 6 MB that an invocation takes; dlq export writes it to a file",
            Self::InDoubt => {
                "in doubt: an earlier run was cut off while it was invoked; look at the function's log, then give \
                 --in-doubt rerun or --in-doubt done"
            }
            Self::NothingToRun => {
                "nothing is left to run; dlq discard takes it off the queue when it has been dealt with"
            }
            Self::NoFunction => "no Lambda function failed on it; --function names one to run it on",
            Self::Unreadable => "not readable; dlq show says why",
            Self::CopiesDiffer => "it holds records that an earlier, partial run did not know of; run it by hand",
        }
    }
}

/// A message to run, with its copies, and the function to run it on.
#[derive(Debug, Clone)]
pub struct ReplayItem {
    pub message: HydratedMessage,
    pub function: String,
    /// The item keeps its place in the shard's order and is not run: the items behind it must not overtake it.
    pub is_in_doubt: bool,
}

/// The items of one function and shard, in the shard's order.
pub type ShardQueue = Vec<ReplayItem>;

/// A message that is not run.
#[derive(Debug, Clone)]
pub struct RefusedMessage {
    pub message: HydratedMessage,
    pub reason: RefusalReason,
}

#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub shard_queues: Vec<ShardQueue>,
    pub refused: Vec<RefusedMessage>,
    /// The number of items that succeeded in an earlier run and only wait for their deletion.
    pub already_done: u64,
}

impl Plan {
    pub fn items(&self) -> impl Iterator<Item = &ReplayItem> {
        self.shard_queues.iter().flatten()
    }
}

/// Makes the plan. `event_bytes` has the exact size of those events that may be too large to invoke, by message id.
pub fn plan(
    messages: Vec<HydratedMessage>,
    options: &ReplayOptions,
    history: &History,
    event_bytes: &HashMap<String, usize>,
) -> Plan {
    let mut plan = Plan::default();
    let mut shard_queues: BTreeMap<(String, Option<String>, Option<String>), ShardQueue> = BTreeMap::new();
    for message in messages {
        let function = options.function.clone().or_else(|| message.lambda_arn().map(str::to_owned));
        match (refusal(&message, options, event_bytes), function) {
            (Some(reason), _) => plan.refused.push(RefusedMessage { message, reason }),
            (None, None) => plan.refused.push(RefusedMessage { message, reason: RefusalReason::NoFunction }),
            (None, Some(function)) => {
                let earlier = history.of(&message.id, &function);
                plan.already_done += u64::from(is_done(&message, &earlier));
                let is_in_doubt = options.in_doubt == InDoubt::Keep && earlier.in_doubt.is_some();
                let key = (function_key(&function), message.stream.clone(), message.shard.clone());
                shard_queues.entry(key).or_default().push(ReplayItem { message, function, is_in_doubt });
            }
        }
    }
    plan.shard_queues = shard_queues.into_values().collect();
    plan.shard_queues.iter_mut().for_each(sort);
    plan
}

/// Sorts by sequence numbers, which also puts the parts of a batch in their order.
fn sort(items: &mut ShardQueue) {
    items.sort_by(|a, b| {
        let (a, b) = (&a.message, &b.message);
        (&a.first, &a.last, &a.id).cmp(&(&b.first, &b.last, &b.id))
    });
}

fn refusal(
    message: &HydratedMessage,
    options: &ReplayOptions,
    event_bytes: &HashMap<String, usize>,
) -> Option<RefusalReason> {
    if message.read_error.is_some() {
        return Some(RefusalReason::Unreadable);
    }
    if message.records == 0 {
        return Some(RefusalReason::NothingToRun);
    }
    if message.status == Status::Superset && !options.include_superset {
        return Some(RefusalReason::Superset);
    }
    let is_too_large = event_bytes.get(&message.id).is_some_and(|bytes| *bytes > MAX_EVENT_BYTES);
    is_too_large.then_some(RefusalReason::TooLarge)
}

/// Tells if the message succeeded in an earlier run, as far as can be told without its records.
fn is_done(message: &HydratedMessage, earlier: &BatchHistory) -> bool {
    let Some((first, last)) = message.first.as_ref().zip(message.last.as_ref()) else { return false };
    let covers = |done: &RecordRange| done.first <= *first && *last <= done.last && done.records >= message.records;
    earlier.done.iter().any(covers)
}

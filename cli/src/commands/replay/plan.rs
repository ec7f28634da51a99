//! The plan of a replay: each message, in its shard's order, and what will happen to it.
//!
//! The dry run prints this plan and `--execute` follows it. The only thing that it cannot know is how an invocation ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hydration::message::part::MAX_EVENT_BYTES;
use hydration::sequence_number::SequenceNumber;
use hydration::verdict::Status;

use crate::commands::replay::narrowed::{LeftOut, LeftOutByMessage};
use crate::commands::replay::options::{InDoubtChoice, ReplayOptions};
use crate::commands::replay::refusal::RefusalReason;
use crate::ledger::claim::Known;
use crate::ledger::function::FunctionArn;
use crate::ledger::key::RunKey;
use crate::ledger::span::{Span, count};
use crate::print::short_id;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::queue_message::ForeignMessage;
use crate::queue::shard_place::ShardPlace;

/// The action that a plan has for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Invoke,
    /// Every record has succeeded in an earlier run, and only the deletion is left.
    Delete,
    /// Every record has succeeded in an earlier run, and the message is kept.
    Keep,
    Refuse(RefusalReason),
    /// Another message of the shard has to be dealt with first.
    HoldBack {
        behind: Behind,
    },
}

/// The message of a shard that another one must not overtake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behind {
    /// A batch, by its id.
    Batch(String),
    /// A message that is not hydrated or breaks the contract, by its message id.
    NotHydrated(String),
}

impl Behind {
    pub fn id(&self) -> &str {
        match self {
            Self::Batch(id) | Self::NotHydrated(id) => id,
        }
    }

    /// The beginning of a reason.
    pub fn sentence(&self) -> String {
        match self {
            Self::Batch(id) => format!("behind {} of the same shard, which comes first", short_id(id)),
            Self::NotHydrated(id) => format!(
                "behind message {id} of the same shard, which cannot be run: dlq show {id} says why, and dlq discard {id} \
                 takes it off the queue"
            ),
        }
    }
}

/// A batch on the function that it will run on.
#[derive(Debug, Clone)]
pub struct Target {
    pub key: RunKey,
    pub known: Known,
    /// The message is deleted when every record has succeeded.
    pub deletes: bool,
}

/// A message, with its copies, and what will happen to it.
#[derive(Debug, Clone)]
pub struct ReplayItem {
    pub message: HydratedMessage,
    pub target: Option<Target>,
    pub action: Action,
    /// Records that `--narrow` leaves out of a superset, or the reason why it cannot be narrowed.
    pub left_out: Option<Result<LeftOut, String>>,
}

impl ReplayItem {
    pub fn function(&self) -> Option<&str> {
        self.target.as_ref().map(|target| target.key.function.as_str())
    }

    /// Records that are left out, of a superset that is narrowed.
    pub fn narrowed(&self) -> Option<&LeftOut> {
        self.left_out.as_ref().and_then(|left_out| left_out.as_ref().ok())
    }

    /// The reason of a superset that is refused because it cannot be narrowed.
    pub fn not_narrowed(&self) -> Option<&str> {
        let is_refused = self.action == Action::Refuse(RefusalReason::NotNarrowed);
        self.left_out.as_ref().and_then(|left_out| left_out.as_ref().err()).filter(|_| is_refused).map(String::as_str)
    }

    /// The reason why a message that is refused cannot be read.
    pub fn read_error(&self) -> Option<&str> {
        let is_refused = self.action == Action::Refuse(RefusalReason::Unreadable);
        self.message.read_error.as_deref().filter(|_| is_refused)
    }

    /// Records that an invocation would have.
    pub fn remaining_records(&self) -> u64 {
        if let Some(Ok(left_out)) = &self.left_out {
            return left_out.remaining;
        }
        let done = self.target.as_ref().map_or(0, |target| count(&target.known.run.done));
        self.message.records.saturating_sub(done)
    }
}

/// The items of one failed function and shard, in the shard's order.
pub type ShardQueue = Vec<ReplayItem>;

#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub shard_queues: Vec<ShardQueue>,
}

impl Plan {
    pub fn items(&self) -> impl Iterator<Item = &ReplayItem> {
        self.shard_queues.iter().flatten()
    }

    pub fn invocations(&self) -> impl Iterator<Item = &ReplayItem> {
        self.items().filter(|item| item.action == Action::Invoke)
    }
}

/// A shard as one function works through it.
type ShardKey = (Option<String>, Option<String>, Option<String>);

fn shard_key(message: &HydratedMessage) -> ShardKey {
    (message.function_arn.clone(), message.stream.clone(), message.shard.clone())
}

/// The place of a message in its shard. A message whose place is not known comes first.
type Place = (Option<SequenceNumber>, Option<SequenceNumber>, String);

fn place(message: &HydratedMessage) -> Place {
    (message.first.clone(), message.last.clone(), message.id.clone())
}

/// A message that is not to be run, and that the ones behind it in its shard must not overtake: the filters do not let
/// it pass, or it is not hydrated.
#[derive(Debug, Clone)]
pub struct OtherMessage {
    shard: ShardKey,
    /// The message does not say which function failed, so that it comes before the batches of every function.
    is_of_any_function: bool,
    place: Place,
    behind: Behind,
    has_records: bool,
    /// The run that would have to come first.
    pub key: Option<RunKey>,
    records: u64,
    ends: Option<(SequenceNumber, SequenceNumber)>,
}

impl OtherMessage {
    pub fn new(message: &HydratedMessage, on: Option<&FunctionArn>) -> Self {
        Self {
            shard: shard_key(message),
            is_of_any_function: false,
            place: place(message),
            behind: Behind::Batch(message.id.clone()),
            has_records: !message.is_drill() && (message.records > 0 || message.read_error.is_some()),
            key: run_key(message, on),
            records: message.records,
            ends: message.first.clone().zip(message.last.clone()),
        }
    }

    fn id(&self) -> &str {
        &self.place.2
    }

    /// A message that cannot be run, if it names its shard. Nothing says that its records have succeeded.
    pub fn not_hydrated(message: &ForeignMessage) -> Option<Self> {
        let shard_place = message.shard_place.as_deref()?.clone();
        let ShardPlace { function, stream, shard, first } = shard_place;
        Some(Self {
            is_of_any_function: function.is_none(),
            shard: (function, Some(stream), Some(shard)),
            place: (first, None, message.message_id.clone()),
            behind: Behind::NotHydrated(message.message_id.clone()),
            has_records: true,
            key: None,
            records: 0,
            ends: None,
        })
    }

    fn is_of(&self, key: &ShardKey) -> bool {
        let (function, stream, shard) = &self.shard;
        (self.is_of_any_function || *function == key.0) && *stream == key.1 && *shard == key.2
    }

    /// Tells if it has records that have not succeeded.
    pub fn waits(&self, known: &BTreeMap<RunKey, Known>) -> bool {
        let done = self.key.as_ref().and_then(|key| known.get(key)).map(|known| known.run.done.as_slice());
        self.has_records && !is_covered(self.ends.as_ref(), self.records, done.unwrap_or_default())
    }
}

/// The first message of each shard that the passes of a run have left. A later pass may not show it, and nothing may
/// overtake it all the same.
#[derive(Debug, Default)]
pub struct LeftBehind(BTreeMap<ShardKey, OtherMessage>);

impl LeftBehind {
    pub fn add(&mut self, other: OtherMessage) {
        let first = self.0.entry(other.shard.clone()).or_insert_with(|| other.clone());
        if other.place < first.place {
            *first = other;
        }
    }

    /// Those that are not among the messages with these ids.
    pub fn not_among(&self, ids: &BTreeSet<&str>) -> Vec<OtherMessage> {
        self.0.values().filter(|other| !ids.contains(other.id())).cloned().collect()
    }
}

/// The run of a message on its target: the function given, else the one that failed.
pub fn run_key(message: &HydratedMessage, on: Option<&FunctionArn>) -> Option<RunKey> {
    let function = on.cloned().or_else(|| FunctionArn::parse(message.lambda_arn()?).ok())?;
    Some(RunKey { batch: message.id.clone(), function })
}

/// All that a plan depends on, beside the messages.
pub struct Facts<'a> {
    pub options: &'a ReplayOptions,
    pub on: Option<&'a FunctionArn>,
    pub known: &'a BTreeMap<RunKey, Known>,
    /// The exact size of those events that may be too large to invoke, by message id.
    pub event_bytes: &'a HashMap<String, usize>,
    /// Ids of messages that have failed in this run.
    pub failed_before: &'a BTreeSet<String>,
    /// Others hold messages of the queue, so that nothing may be invoked.
    pub is_held_by_others: bool,
    pub left_out: &'a LeftOutByMessage,
    /// The messages lie in an archive, from which nothing is deleted.
    pub keeps_all: bool,
    /// Ids of messages that a person has discarded from the queue; an archive still has them.
    pub discarded: &'a BTreeSet<String>,
}

pub fn plan(messages: Vec<HydratedMessage>, others: &[OtherMessage], facts: &Facts<'_>) -> Plan {
    let mut shards: BTreeMap<ShardKey, ShardQueue> = BTreeMap::new();
    for message in messages {
        let target = run_key(&message, facts.on).map(|key| facts.target(key, &message));
        let action = facts.action(&message, target.as_ref());
        let left_out = facts.left_out.get(&message.id).cloned();
        shards.entry(shard_key(&message)).or_default().push(ReplayItem { message, target, action, left_out });
    }
    for (key, items) in &mut shards {
        // Sequence numbers also put the parts of a batch in their order.
        items.sort_by_key(|item| place(&item.message));
        if !facts.options.keep_going {
            let is_before = |other: &&OtherMessage| other.is_of(key) && other.waits(facts.known);
            hold_back(items, others.iter().filter(is_before).collect());
        }
    }
    Plan { shard_queues: shards.into_values().collect() }
}

/// Holds back the items that are behind one that will not be run.
fn hold_back(items: &mut ShardQueue, others: Vec<&OtherMessage>) {
    let first_other = others.into_iter().min_by_key(|other| &other.place);
    let mut blocked_by: Option<Behind> = None;
    for item in items {
        if blocked_by.is_none() {
            let other = first_other.filter(|other| other.place < place(&item.message));
            blocked_by = other.map(|other| other.behind.clone());
        }
        match (&item.action, &blocked_by) {
            (Action::Invoke, Some(behind)) => item.action = Action::HoldBack { behind: behind.clone() },
            (Action::Refuse(reason), None) if reason.holds_back() => {
                blocked_by = Some(Behind::Batch(item.message.id.clone()));
            }
            _ => {}
        }
    }
}

impl Facts<'_> {
    fn target(&self, key: RunKey, message: &HydratedMessage) -> Target {
        let is_own =
            message.lambda_arn().and_then(|arn| FunctionArn::parse(arn).ok()).is_some_and(|own| own == key.function);
        let deletes = !self.keeps_all && !self.options.keep && (is_own || self.options.delete);
        let known = self.known.get(&key).cloned().unwrap_or_else(|| Known::absent(&key));
        Target { key, known, deletes }
    }

    fn action(&self, message: &HydratedMessage, target: Option<&Target>) -> Action {
        if let Some(reason) = self.refusal(message) {
            return Action::Refuse(reason);
        }
        let Some(target) = target else { return Action::Refuse(RefusalReason::NoFunction) };
        let run = &target.known.run;
        let mut done = run.done.clone();
        match (&run.claim, self.options.in_doubt) {
            (Some(_), InDoubtChoice::Keep) => return Action::Refuse(RefusalReason::InDoubt),
            (Some(claim), InDoubtChoice::Done) => done.extend(claim.records.iter().cloned()),
            _ => {}
        }
        let ends = message.first.clone().zip(message.last.clone());
        let is_covered = match self.left_out.get(&message.id) {
            Some(Ok(left_out)) => left_out.remaining == 0,
            _ => is_covered(ends.as_ref(), message.records, &done),
        };
        match is_covered {
            true if target.deletes => Action::Delete,
            true => Action::Keep,
            false if self.is_held_by_others => Action::Refuse(RefusalReason::InFlight),
            false => Action::Invoke,
        }
    }

    fn refusal(&self, message: &HydratedMessage) -> Option<RefusalReason> {
        if message.is_drill() {
            return Some(RefusalReason::Drill);
        }
        if message.read_error.is_some() {
            return Some(RefusalReason::Unreadable);
        }
        if message.records == 0 {
            return Some(RefusalReason::NothingToRun);
        }
        if self.discarded.contains(&message.id) {
            return Some(RefusalReason::Discarded);
        }
        if self.failed_before.contains(&message.id) {
            return Some(RefusalReason::FailedBefore);
        }
        if message.status == Status::Superset && !self.options.include_superset {
            match self.left_out.get(&message.id) {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Some(RefusalReason::NotNarrowed),
                None => return Some(RefusalReason::Superset),
            }
        }
        let is_narrowed = self.left_out.get(&message.id).is_some_and(Result::is_ok);
        let is_partial = self.options.records.is_some() || self.options.except.is_some() || is_narrowed;
        let is_too_large = self.event_bytes.get(&message.id).is_some_and(|bytes| *bytes > MAX_EVENT_BYTES);
        (is_too_large && !is_partial).then_some(RefusalReason::TooLarge)
    }
}

/// Tells if every record between the ends has succeeded, as far as can be told without the records.
fn is_covered(ends: Option<&(SequenceNumber, SequenceNumber)>, records: u64, done: &[Span]) -> bool {
    let Some((first, last)) = ends else { return false };
    let within: Vec<&Span> = done.iter().filter(|span| *first <= span.last && span.first <= *last).collect();
    let reaches = |number: &SequenceNumber| within.iter().any(|span| (&span.first..=&span.last).contains(&number));
    reaches(first) && reaches(last) && within.iter().map(|span| span.records).sum::<u64>() >= records
}

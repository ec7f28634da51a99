//! Filters: the messages that a command works on, by id, function, status, source, shard, time and number.

use std::collections::BTreeSet;

use hydration::arn::Source;
use hydration::timestamp::Timestamp;
use hydration::verdict::Status;

use crate::exit::UsageError;
pub use crate::queue::filter_args::FilterArgs;
use crate::queue::filter_args::{FunctionFilter, ShardFilter};
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::queue_message::ForeignMessage;

/// The first digits of an id that are enough to know it from all others, so that nothing more has to be read.
const UNIQUE_ID_DIGITS: usize = 12;
/// The same for the digest of a part.
const UNIQUE_PART_DIGITS: usize = 6;

/// An id from the command line, or its first characters. clap ends with code 2 where it is malformed.
pub fn parse_id(text: &str) -> Result<String, String> {
    let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_id) {
        return Err("an id has the digits 0-9 and a-f; dlq list shows the ids, and the first characters will do".into());
    }
    Ok(text.to_ascii_lowercase())
}

/// The filters of one command, together.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    function: Option<FunctionFilter>,
    status: Vec<Status>,
    source: Option<Source>,
    shard: Option<ShardFilter>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<u64>,
    /// Ids of batches that an earlier pass took: the limit counts them, and they pass again.
    taken: BTreeSet<String>,
    /// Ids, or the first characters of ids; none means all.
    ids: Vec<String>,
}

impl Filter {
    pub fn new(args: &FilterArgs, ids: &[String], now: Timestamp) -> Result<Self, UsageError> {
        let (since, until) = (args.since.map(|time| time.resolve(now)), args.until.map(|time| time.resolve(now)));
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let (since, until) = (since.rfc3339(), until.rfc3339());
            return Err(UsageError(format!(
                "nothing fails both since {since} and before {until}: check --since and --until"
            )));
        }
        Ok(Self {
            function: args.function.clone(),
            status: args.status.clone(),
            source: args.source,
            shard: args.shard.clone(),
            since,
            until,
            limit: args.limit,
            taken: BTreeSet::new(),
            ids: ids.to_vec(),
        })
    }

    /// A filter that takes the messages with one of the ids.
    pub fn by_ids(ids: &[String]) -> Self {
        Self { ids: ids.to_vec(), ..Self::default() }
    }

    /// Takes the limit out, for a command that counts batches itself.
    pub fn take_limit(&mut self) -> Option<u64> {
        self.limit.take()
    }

    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Tells if folders of an archive are not looked at, because of their function or their day.
    pub fn leaves_folders(&self) -> bool {
        self.function.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// The same filter for the next pass over the queue, whose limit counts what earlier passes took.
    pub fn after(&self, taken: &BTreeSet<String>) -> Self {
        Self { taken: taken.clone(), ..self.clone() }
    }

    /// The messages that pass, in their order, and those that do not. `--limit` counts batches: all parts of a batch
    /// stay together.
    pub fn split(&self, messages: Vec<HydratedMessage>) -> (Vec<HydratedMessage>, Vec<HydratedMessage>) {
        let (passed, mut others): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| self.takes(message));
        let Some(limit) = self.limit else { return (passed, others) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut oldest = self.taken.clone();
        for message in &passed {
            if oldest.len() < limit {
                oldest.insert(message.batch_id().to_owned());
            }
        }
        let (chosen, newer): (Vec<_>, Vec<_>) =
            passed.into_iter().partition(|message| oldest.contains(message.batch_id()));
        others.extend(newer);
        (chosen, others)
    }

    fn takes(&self, message: &HydratedMessage) -> bool {
        let time = message.failed_or_sent_at();
        (self.status.is_empty() || self.status.contains(&message.status))
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time < until))
            && self.source.is_none_or(|source| message.source == Some(source))
            && self.shard.as_ref().is_none_or(|shard| shard.takes(message))
            && self.function.as_ref().is_none_or(|function| function.takes(message))
            && self.takes_id(message)
    }

    /// Tells from one copy if the message may pass, for a decision that comes before the copies are united. Status,
    /// version and times differ between copies, so they do not count here. What a copy does not say may be said by
    /// another.
    pub fn may_take(&self, copy: &HydratedMessage) -> bool {
        self.source.is_none_or(|source| copy.source.is_none_or(|own| own == source))
            && self.shard.as_ref().is_none_or(|shard| copy.shard.is_none() || shard.takes(copy))
            && self.takes_id(copy)
    }

    fn takes_id(&self, message: &HydratedMessage) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|id| is_named(message, id))
    }

    /// Tells if the message's own id was typed.
    pub fn names(&self, foreign: &ForeignMessage) -> bool {
        self.ids.contains(&foreign.message_id)
    }

    /// Tells if every id is long enough to be unique, and the messages hold all that it names.
    pub fn is_complete<'a>(
        &self,
        messages: impl Iterator<Item = &'a HydratedMessage> + Clone,
        foreign: &[&ForeignMessage],
    ) -> bool {
        let is_found = |id: &String| {
            if foreign.iter().any(|foreign| foreign.message_id == *id) {
                return true;
            }
            let named = messages.clone().filter(|message| is_named(message, id));
            match id.split_once('-') {
                Some((batch, part)) => {
                    let is_unique = batch.len() >= UNIQUE_ID_DIGITS && part.len() >= UNIQUE_PART_DIGITS;
                    is_unique && named.count() > 0
                }
                None => id.len() >= UNIQUE_ID_DIGITS && has_all_parts(named),
            }
        };
        !self.ids.is_empty() && self.ids.iter().all(is_found)
    }
}

/// Tells if the messages are a whole batch: one message, or every part up to the last.
fn has_all_parts<'a>(messages: impl Iterator<Item = &'a HydratedMessage>) -> bool {
    let (mut numbers, mut last) = (BTreeSet::new(), None);
    for message in messages {
        match message.part {
            None if !message.id.contains('-') => return true,
            // The number of a part is not known where only its attributes could be read.
            None => {}
            Some(part) => {
                numbers.insert(part.number);
                last = last.max(part.last.then_some(part.number));
            }
        }
    }
    last.is_some_and(|last| (1..=last).all(|number| numbers.contains(&number)))
}

/// Tells if the id names the message: the first characters of its batch's id, and perhaps, after a `-`, the first
/// characters of its part.
pub fn is_named(message: &HydratedMessage, id: &str) -> bool {
    is_id_named(&message.id, id)
}

/// The same for a message's whole id.
pub fn is_id_named(own: &str, id: &str) -> bool {
    let (own_batch, own_part) = own.split_once('-').map_or((own, None), |(batch, part)| (batch, Some(part)));
    let Some((batch, part)) = id.split_once('-') else { return own_batch.starts_with(id) };
    own_batch.starts_with(batch) && own_part.is_some_and(|own| own.starts_with(part))
}

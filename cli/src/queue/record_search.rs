//! A search in the records of messages: `--grep`. It reads one message at a time, so that memory does not grow with the
//! bytes on the queue.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Args;
use hydration::json::{is_sound, plain_text};
use hydration::message::parsed::ParsedMessage;
use hydration::record::event::EventRecord;
use hydration::view::{FoundInRecord, search_record};
use regex::Regex;
use serde::Serialize;

use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::ports::Bucket;
use crate::print::progress::Progress;
use crate::print::records::{is_deaggregated, source};
use crate::queue::filter::Filter;
use crate::queue::filter_args::shell_quoted;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::read_queue::{QueueContents, body_of};

/// The most matches of a message that are kept.
const MAX_KEPT: usize = 20;

#[derive(Debug, Clone, Default, Args)]
pub struct GrepArgs {
    /// Only batches with a record whose decoded data or keys match this regular expression
    #[arg(long, value_name = "PATTERN", value_parser = parse_pattern, help_heading = "Filters")]
    pub grep: Option<Regex>,
}

impl GrepArgs {
    /// The flag as it was typed, for a suggested command to repeat.
    pub fn typed(&self) -> Option<String> {
        self.grep.as_ref().map(|pattern| format!(" --grep {}", shell_quoted(pattern.as_str())))
    }
}

/// Parses a pattern. clap ends with code 2 where it is wrong; the error shows where.
fn parse_pattern(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("an empty pattern matches every record; is a variable of the shell not set?".to_owned());
    }
    Regex::new(text).map_err(|error| error.to_string())
}

/// A record that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordMatch {
    /// The place in the message's `Records`, from 1.
    pub record: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<String>,
}

/// The records of one message that match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageMatches {
    pub match_count: u64,
    /// The first of them.
    pub matches: Vec<RecordMatch>,
}

impl MessageMatches {
    fn add(&mut self, record: RecordMatch) {
        self.match_count += 1;
        if self.matches.len() < MAX_KEPT {
            self.matches.push(record);
        }
    }
}

/// Matches by the id of the message.
#[derive(Debug, Default)]
pub struct MatchesById(BTreeMap<String, MessageMatches>);

impl MatchesById {
    /// The matches of a message; `None` where nothing was searched for.
    pub fn of(&self, message: &HydratedMessage) -> Option<&MessageMatches> {
        self.0.get(&message.id)
    }
}

/// Numbers of a search that are in no other number, for the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchNumbers {
    /// Messages that did not match.
    pub filtered: u64,
    /// Messages whose records could not be read.
    pub not_searched: u64,
    /// Records without a match that have binary data.
    pub binary_records: u64,
}

/// A search, and how many batches it may find.
#[derive(Debug)]
pub struct RecordSearch {
    pattern: Regex,
    limit: Option<u64>,
}

impl RecordSearch {
    /// The search that was typed. It takes the limit from the filter: `--limit` counts the batches that match.
    pub fn new(args: &GrepArgs, filter: &mut Filter) -> Option<Self> {
        let pattern = args.grep.clone()?;
        Some(Self { pattern, limit: filter.take_limit() })
    }

    /// The places of the records that match, from 0, and the number of others that have binary data.
    pub async fn places(&self, received: &ParsedMessage, interrupt: &Interrupt) -> Result<(Vec<usize>, u64)> {
        let (source, is_deaggregated) = (source(received), is_deaggregated(received));
        let (mut places, mut binary) = (Vec::new(), 0);
        for (place, raw) in received.records.iter().enumerate() {
            let found = match EventRecord::parse(source, raw) {
                Some(event) => search_record(&event.record, is_deaggregated, &|text| self.pattern.is_match(text)),
                None => self.search_text(raw.get()),
            };
            match found {
                FoundInRecord::Yes => places.push(place),
                FoundInRecord::No => {}
                FoundInRecord::NotInTexts => binary += 1,
            }
            // A record may unpack to megabytes: let a signal come through.
            tokio::task::yield_now().await;
            interrupt.check()?;
        }
        Ok((places, binary))
    }

    /// Searches a record that is no event record, as it is.
    fn search_text(&self, text: &str) -> FoundInRecord {
        let is_found =
            if is_sound(text) { self.pattern.is_match(&plain_text(text)) } else { self.pattern.is_match(text) };
        if is_found { FoundInRecord::Yes } else { FoundInRecord::No }
    }

    async fn matches(&self, received: &ParsedMessage, interrupt: &Interrupt) -> Result<(MessageMatches, u64)> {
        let (places, binary) = self.places(received, interrupt).await?;
        let mut matches = MessageMatches::default();
        places.into_iter().for_each(|place| matches.add(record_match(received, place)));
        Ok((matches, binary))
    }
}

/// A record by its place from 0, and its sequence number.
pub fn record_match(received: &ParsedMessage, place: usize) -> RecordMatch {
    let event = received.records.get(place).and_then(|raw| EventRecord::parse(source(received), raw));
    let sequence_number = event.map(|event| event.sequence_number().as_str().to_owned());
    RecordMatch { record: place + 1, sequence_number }
}

/// Keeps the messages with a record that matches, and counts the others. Without a search all are kept.
pub async fn keep_matching<B: Bucket, C>(
    context: &Context<C>,
    bucket: &B,
    search: Option<&RecordSearch>,
    contents: &mut QueueContents,
    chosen: Vec<HydratedMessage>,
) -> Result<(Vec<HydratedMessage>, MatchesById)> {
    let Some(search) = search else { return Ok((chosen, MatchesById::default())) };
    let progress = Progress::new("searching the records");
    progress.expect(chosen.len() as u64);
    let limit = search.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let (mut kept, mut by_id, mut numbers) = (Vec::new(), MatchesById::default(), SearchNumbers::default());
    let mut batches = BTreeSet::new();
    let mut reason = None;
    for message in chosen {
        progress.add(1);
        let is_beyond_limit = batches.len() >= limit && !batches.contains(message.batch_id());
        if is_beyond_limit || (message.records == 0 && message.read_error.is_none()) {
            numbers.filtered += 1;
            continue;
        }
        let read = context.interrupt.race(read(&message, bucket)).await?;
        let received = match read {
            Ok(received) => received,
            Err(error) => {
                numbers.not_searched += 1;
                reason.get_or_insert_with(|| format!("{} was not searched: {error:#}", message.id));
                continue;
            }
        };
        let (matches, binary) = search.matches(&received, &context.interrupt).await?;
        numbers.binary_records += binary;
        if matches.match_count == 0 {
            numbers.filtered += 1;
            continue;
        }
        batches.insert(message.batch_id().to_owned());
        by_id.0.insert(message.id.clone(), matches);
        kept.push(message);
    }
    progress.finish();
    reason.iter().for_each(|reason| context.output.note(reason));
    contents.count_search(kept.len() as u64, numbers);
    Ok((kept, by_id))
}

async fn read<B: Bucket>(message: &HydratedMessage, bucket: &B) -> Result<ParsedMessage> {
    Ok(ParsedMessage::parse(&body_of(message, bucket).await?)?)
}

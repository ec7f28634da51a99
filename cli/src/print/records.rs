//! Records of a message, decoded by the rules of the message's own view.

use anyhow::Result;
use hydration::arn::Source;
use hydration::message::parsed::ParsedMessage;
use hydration::narrow::InBatch;
use hydration::record::event::EventRecord;
use hydration::record::{DynamoDbRecord, KinesisRecord, StreamRecord};
use hydration::timestamp::Timestamp;
use hydration::view::{Decoded, decode_kinesis, decode_user_record};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_with::skip_serializing_none;

use crate::print::diff::{Change, diff, value};
use crate::print::visible::Visible;
use crate::print::{Output, Paint, bytes, pretty_json, printable};

/// Lines of one record; the rest is cut unless every record is shown whole.
const MAX_LINES: usize = 40;
/// Characters of one line.
const MAX_LINE_CHARS: usize = 2_000;

/// A record in the JSON output: the same view that the message carries.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordJson {
    number: usize,
    sequence_number: String,
    partition_key: Option<String>,
    /// The relation to the failed batch, for a record of a superset that was narrowed.
    in_batch: Option<InBatch>,
    view: Box<RawValue>,
}

/// The service that the records are from.
pub fn source(received: &ParsedMessage) -> Source {
    received.head.batch.as_ref().map_or(Source::Kinesis, |batch| batch.stream.source())
}

/// Tells if Lambda took the records out of their aggregates.
pub fn is_deaggregated(received: &ParsedMessage) -> bool {
    received.head.batch.as_ref().is_some_and(|batch| batch.stream.is_consumer())
}

/// The first records as JSON.
pub fn first_as_json(received: &ParsedMessage, max_records: usize) -> Vec<RecordJson> {
    let places: Vec<usize> = (0..received.records.len().min(max_records)).collect();
    as_json(received, &places)
}

/// The records of a message to show: the first of all, or of those that match.
pub struct PickedRecords {
    places: Vec<usize>,
    /// The number of records that they were picked from.
    of: usize,
    are_matches: bool,
}

impl PickedRecords {
    /// `matching` has the places of the records that match, where a search was asked for.
    pub fn new(received: &ParsedMessage, matching: Option<&[usize]>, is_all: bool, max_records: usize) -> Self {
        let most = if is_all { usize::MAX } else { max_records };
        let (places, of): (Vec<usize>, usize) = match matching {
            Some(matching) => (matching.iter().copied().take(most).collect(), matching.len()),
            None => ((0..received.records.len()).take(most).collect(), received.records.len()),
        };
        Self { places, of, are_matches: matching.is_some() }
    }

    fn title(&self, all: usize) -> String {
        let shown = self.places.len();
        let picked = if self.are_matches { format!("{} of {all} match", self.of) } else { all.to_string() };
        match self.of - shown {
            0 => format!("Records ({picked})"),
            _ => format!("Records ({picked}, the first {shown} shown; --all shows every one)"),
        }
    }
}

/// The picked records, each with its relation to the failed batch, for a superset where that is known.
pub fn picked_as_json(
    received: &ParsedMessage,
    picked: &PickedRecords,
    in_batch: Option<&[InBatch]>,
) -> Vec<RecordJson> {
    let mut records = as_json(received, &picked.places);
    for record in &mut records {
        record.in_batch = in_batch.and_then(|in_batch| in_batch.get(record.number - 1).copied());
    }
    records
}

/// Some of the records as JSON, by their places.
pub fn as_json(received: &ParsedMessage, places: &[usize]) -> Vec<RecordJson> {
    let read = |place: &usize| {
        let event = EventRecord::parse(source(received), received.records.get(*place)?)?;
        let mut view = String::new();
        event.write_view(is_deaggregated(received), &mut view);
        Some(RecordJson {
            number: place + 1,
            sequence_number: event.sequence_number().as_str().to_owned(),
            partition_key: match event.record {
                StreamRecord::Kinesis(record) => Some(record.partition_key),
                StreamRecord::DynamoDb(_) => None,
            },
            in_batch: None,
            view: RawValue::from_string(view).ok()?,
        })
    };
    places.iter().filter_map(read).collect()
}

/// Prints the picked records.
///
/// `in_batch` is the relation of each to the failed batch, where it is known.
pub fn print_picked(
    output: &Output,
    received: &ParsedMessage,
    picked: &PickedRecords,
    whole: bool,
    in_batch: Option<&[InBatch]>,
) -> Result<()> {
    let all = received.records.len();
    if all == 0 {
        return Ok(());
    }
    output.line(format!("\n{}", output.paint(Paint::Bold, picked.title(all))))?;
    if in_batch.is_some() {
        output.line(output.paint(Paint::Dim, IN_BATCH_LEGEND))?;
    }
    print_marked(output, received, &picked.places, whole, |place| {
        in_batch.and_then(|in_batch| in_batch.get(place)).map_or("", |in_batch| mark(*in_batch))
    })
}

const IN_BATCH_LEGEND: &str = "  = was in the failed batch   ? may have been   - was not";

fn mark(in_batch: InBatch) -> &'static str {
    match in_batch {
        InBatch::Certain => "= ",
        InBatch::Possible => "? ",
        InBatch::Excluded => "- ",
    }
}

/// Prints some of the records, by their places; shortened unless `whole`.
pub fn print_places(output: &Output, received: &ParsedMessage, places: &[usize], whole: bool) -> Result<()> {
    print_marked(output, received, places, whole, |_| "")
}

fn print_marked(
    output: &Output,
    received: &ParsedMessage,
    places: &[usize],
    whole: bool,
    mark: impl Fn(usize) -> &'static str,
) -> Result<()> {
    let width = received.records.len().to_string().len();
    let picked = places.iter().filter_map(|place| Some((*place, received.records.get(*place)?)));
    for (index, raw) in picked {
        let number = format!("{:>width$}", index + 1);
        let (head, body) = match EventRecord::parse(source(received), raw) {
            Some(event) => match event.record {
                StreamRecord::Kinesis(record) => kinesis(output, &record, is_deaggregated(received), whole),
                StreamRecord::DynamoDb(record) => dynamodb(output, &record),
            },
            None => ("not readable as an event record; as it is:".to_owned(), vec![printable(raw.get())]),
        };
        output.line(format!("\n{}{} {head}", mark(index), output.paint(Paint::Bold, number)))?;
        let max_lines = if whole { usize::MAX } else { MAX_LINES };
        for line in body.iter().take(max_lines) {
            output.line(format!("  {}", shorten(line, whole)))?;
        }
        if body.len() > max_lines {
            output.line(output.paint(Paint::Dim, format!("  … {} more lines; --all", body.len() - max_lines)))?;
        }
    }
    Ok(())
}

fn shorten(line: &str, whole: bool) -> String {
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) if !whole => format!("{}… --all", line.get(..end).unwrap_or(line)),
        _ => line.to_owned(),
    }
}

fn kinesis(output: &Output, record: &KinesisRecord, deaggregated: bool, whole: bool) -> (String, Vec<String>) {
    let decoded = if deaggregated { decode_user_record(&record.data) } else { decode_kinesis(&record.data) };
    let arrived = record.approximate_arrival.map(|time| format!("  {}", time.rfc3339())).unwrap_or_default();
    let head = format!(
        "{}{arrived}  key {}  {}",
        record.sequence_number,
        quoted(&record.partition_key),
        output.paint(Paint::Cyan, kind_of(&decoded))
    );
    let body = match &decoded {
        Decoded::Aggregate(records) => records
            .iter()
            .enumerate()
            .flat_map(|(index, record)| {
                let decoded = decode_user_record(record.data);
                let key = quoted(record.partition_key);
                let head = format!("{}. key {key}  {}", index + 1, output.paint(Paint::Cyan, kind_of(&decoded)));
                let body = data_lines(&decoded, record.data, whole).into_iter().map(|line| format!("   {line}"));
                std::iter::once(head).chain(body).collect::<Vec<_>>()
            })
            .collect(),
        decoded => data_lines(decoded, &record.data, whole),
    };
    (head, body)
}

fn kind_of(decoded: &Decoded<'_>) -> String {
    let gzip = |gzipped: bool| if gzipped { ", gzipped" } else { "" };
    match decoded {
        Decoded::Aggregate(records) => format!("KPL aggregate of {}", records.len()),
        Decoded::Json { gzipped, .. } => format!("JSON{}", gzip(*gzipped)),
        Decoded::Text { gzipped, .. } => format!("text{}", gzip(*gzipped)),
        Decoded::Binary { bytes } => format!("binary, {}", bytes::size(*bytes as u64)),
    }
}

fn data_lines(decoded: &Decoded<'_>, stored: &[u8], whole: bool) -> Vec<String> {
    match decoded {
        Decoded::Json { text, .. } => pretty_json(text).lines().map(data_line).collect(),
        Decoded::Text { text, .. } => text.lines().map(data_line).collect(),
        Decoded::Aggregate(_) | Decoded::Binary { .. } => {
            bytes::hex_dump(stored, if whole { usize::MAX } else { MAX_LINES - 1 })
        }
    }
}

/// A line of data, safe for a terminal. Tabs stay.
fn data_line(line: &str) -> String {
    Visible::lines(line).to_string()
}

fn dynamodb(output: &Output, record: &DynamoDbRecord) -> (String, Vec<String>) {
    let keys: Vec<String> =
        record.keys.iter().flatten().map(|(name, key)| format!("{}={}", printable(name), value(key))).collect();
    let arrived = record.approximate_creation.map(|seconds| Timestamp::from_secs_and_nanos(seconds, 0).rfc3339());
    let by = record.user_identity.as_ref().and_then(|identity| identity.principal_id.as_deref());
    let by = match by {
        Some("dynamodb.amazonaws.com") => "  by time to live".to_owned(),
        Some(principal) => format!("  by {}", printable(principal)),
        None => String::new(),
    };
    let name = record.event_name.as_deref().unwrap_or("?");
    let head = format!(
        "{}  {}  {} {}{by}",
        record.sequence_number,
        arrived.unwrap_or_default(),
        output.paint(Paint::Cyan, printable(name)),
        keys.join(" ")
    );
    let empty = hydration::record::Item::new();
    let (old, new) = (record.old_image.as_ref(), record.new_image.as_ref());
    let mut body = Vec::new();
    match (old, new) {
        (None, None) => body.push(output.paint(Paint::Dim, "the stream's view type keeps no image")),
        // With one image only, the change is not known.
        (None, Some(image)) | (Some(image), None) if name == "MODIFY" => {
            let which = if new.is_some() {
                "the new image; the stream keeps no old one"
            } else {
                "the old image; the stream keeps no new one"
            };
            body.push(output.paint(Paint::Dim, which));
            body.extend(image.iter().map(|(name, attribute)| format!("  {}: {}", printable(name), value(attribute))));
        }
        (old, new) => {
            let diff = diff(old.unwrap_or(&empty), new.unwrap_or(&empty));
            body.extend(diff.changes.iter().map(|change| change_line(output, change)));
            if diff.same > 0 {
                body.push(output.paint(Paint::Dim, format!("  {} unchanged", diff.same)));
            }
        }
    }
    (head, body)
}

fn change_line(output: &Output, change: &Change) -> String {
    match change {
        Change::Added { path, new } => output.paint(Paint::Green, printable(&format!("+ {path}: {new}"))),
        Change::Removed { path, old } => output.paint(Paint::Red, printable(&format!("- {path}: {old}"))),
        Change::Changed { path, old, new } => {
            let (path, old, new) = (printable(path), printable(old), printable(new));
            format!("~ {path}: {} → {}", output.paint(Paint::Red, old), output.paint(Paint::Green, new))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    hydration::json::write_string(text, &mut quoted);
    printable(&quoted)
}

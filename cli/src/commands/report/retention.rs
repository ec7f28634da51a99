//! Ages against retention: how long the stream and the queue still hold what a function has not processed.

use std::time::Duration;

use hydration::timestamp::Timestamp;

use super::page_text::{PageText, minute};
use super::tables::CutTable;
use super::totals::FailedFunction;
use crate::print::time;

const MAX_FUNCTIONS: usize = 12;
/// The time that every stream keeps its records. DynamoDB deletes them then; a Kinesis stream may be set to up to 365
/// days (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>,
/// <https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html>).
const STREAM_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// The share of a retention from which on the time is short.
const SHORT_PERCENT: i64 = 75;

/// An age as a share of the time that something is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeBar {
    pub place: &'static str,
    /// From 0 to 100.
    pub percent: i64,
    pub class: &'static str,
    pub words: String,
}

impl AgeBar {
    fn new(place: &'static str, since: Timestamp, kept_millis: i64, now: Timestamp, words: String) -> Self {
        let age = now.millis_since(since).max(0);
        let percent = (age.saturating_mul(100) / kept_millis.max(1)).clamp(0, 100);
        let class = if percent >= SHORT_PERCENT { "short" } else { "enough" };
        Self { place, percent, class, words }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct RetentionRow {
    pub function: PageText,
    /// The stream where an invocation record names an arrival, and the queue where it says how long it keeps messages.
    pub bars: Vec<AgeBar>,
}

/// A row for each function.
pub fn rows(
    functions: &[FailedFunction<'_>],
    retention: Option<Duration>,
    source: &str,
    now: Timestamp,
) -> CutTable<RetentionRow> {
    let row = |function: &FailedFunction<'_>| {
        // What is lost has left the stream already.
        let with_records = function.messages.iter().filter(|message| message.records > 0);
        let arrived = with_records.filter_map(|message| message.first_arrival).min();
        let sent = function.messages.iter().filter_map(|message| message.sent_at()).min();
        let stream = arrived.map(|arrived| stream_bar(arrived, source, now));
        let queue = sent.zip(retention).map(|(sent, retention)| queue_bar(sent, retention, now));
        RetentionRow { function: PageText::name(&function.name), bars: [stream, queue].into_iter().flatten().collect() }
    };
    let rows = functions.iter().map(row).collect();
    CutTable::new(rows, MAX_FUNCTIONS, "function with fewer records", "functions with fewer records")
}

fn stream_bar(arrived: Timestamp, source: &str, now: Timestamp) -> AgeBar {
    let age = now.millis_since(arrived);
    let what = if age >= STREAM_MILLIS {
        format!("Unless it keeps records for longer, only {source} has them now.")
    } else {
        "Until then they are in the stream, too.".to_owned()
    };
    let words =
        format!("The oldest record arrived {} ago, and the stream keeps it for 24h at least. {what}", time::age(age));
    AgeBar::new("Stream", arrived, STREAM_MILLIS, now, words)
}

fn queue_bar(sent: Timestamp, retention: Duration, now: Timestamp) -> AgeBar {
    let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let words = format!(
        "The oldest message was sent {} ago, and SQS keeps it for {}, until {}.",
        time::age(now.millis_since(sent)),
        time::age(kept),
        minute(sent.plus_millis(kept))
    );
    AgeBar::new("Queue", sent, kept, now, words)
}

/// The time at which SQS deletes the first message.
pub fn first_deletion(functions: &[FailedFunction<'_>], retention: Option<Duration>) -> Option<Timestamp> {
    let messages = functions.iter().flat_map(|function| &function.messages);
    let sent = messages.filter_map(|message| message.sent_at()).min()?;
    Some(sent.plus_millis(i64::try_from(retention?.as_millis()).unwrap_or(i64::MAX)))
}

#[test]
fn a_record_older_than_a_day_may_be_on_the_queue_alone() {
    let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
    let young = stream_bar(now.plus_millis(-6 * 3_600_000), "the queue", now);
    assert_eq!((young.percent, young.class), (25, "enough"));
    assert!(
        young.words.ends_with(
            "arrived 6h ago, and the stream keeps it for 24h at least. Until then they are in the stream, too."
        ),
        "{}",
        young.words
    );
    let old = stream_bar(now.plus_millis(-30 * 3_600_000), "the queue", now);
    assert_eq!((old.percent, old.class), (100, "short"));
    assert!(old.words.contains("only the queue has them now"), "{}", old.words);
    let queue = queue_bar(now.plus_millis(-12 * 3_600_000), Duration::from_secs(4 * 86_400), now);
    assert_eq!((queue.percent, queue.class), (12, "enough"));
    assert!(
        queue.words.ends_with("sent 12h ago, and SQS keeps it for 4d, until 2026-11-25 00:00 UTC."),
        "{}",
        queue.words
    );
}

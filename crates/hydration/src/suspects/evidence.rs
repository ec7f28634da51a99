//! Everything that is known of a failed batch.

use crate::arn::Source;
use crate::message::parsed::ParsedMessage;
use crate::record::StreamRecord;
use crate::record::event::EventRecord;

/// The records of a batch that is not small any more.
const SMALL_BATCH: usize = 20;
/// The most records of other batches.
const MAX_BACKGROUND: usize = 1_000;

/// A record that suspects are searched in.
#[derive(Debug, Clone)]
pub struct EvidenceRecord {
    /// The place in the batch, from 0.
    pub place: usize,
    pub record: StreamRecord,
    /// False for a record that was certainly not in the failed batch. It is background then.
    pub may_be_named: bool,
}

/// The records of a failed batch, the log of the invocation, and the records of other batches.
#[derive(Debug, Clone, Default)]
pub struct BatchEvidence {
    pub records: Vec<EvidenceRecord>,
    /// Records of other batches of the same function. They show what is usual and are never named.
    pub background: Vec<StreamRecord>,
    /// The events of the log, as CloudWatch Logs has them. One may have several lines.
    pub log: Vec<String>,
    /// Texts that say nothing of a record wherever the log has them: the request id, the ends of the range.
    pub not_evidence: Vec<String>,
    /// Lambda has taken the records out of their aggregates.
    pub is_deaggregated: bool,
}

impl BatchEvidence {
    /// The evidence in a hydrated message. A record that is no event record of the stream's service is left out.
    pub fn of_message(message: &ParsedMessage) -> Self {
        let batch = message.head.batch.as_ref();
        let request_id = batch.and_then(|batch| batch.request_id.clone());
        let ends = batch.into_iter().flat_map(|batch| [&batch.start, &batch.end]).flatten();
        let ends = ends.map(|end| end.as_str().to_owned());
        Self {
            records: parse(message),
            not_evidence: request_id.into_iter().chain(ends).collect(),
            is_deaggregated: batch.is_some_and(|batch| batch.stream.is_consumer()),
            ..Self::default()
        }
    }

    /// Returns true for a batch of so few records that others show better what is usual.
    pub fn is_small(&self) -> bool {
        self.records.len() < SMALL_BATCH
    }

    /// Adds the records of another batch of the same function.
    pub fn add_background(&mut self, message: &ParsedMessage) {
        let room = MAX_BACKGROUND.saturating_sub(self.background.len());
        self.background.extend(parse(message).into_iter().take(room).map(|record| record.record));
    }
}

fn parse(message: &ParsedMessage) -> Vec<EvidenceRecord> {
    let source = message.head.batch.as_ref().map_or(Source::Kinesis, |batch| batch.stream.source());
    let parse = |(place, raw): (usize, &serde_json::value::RawValue)| {
        let record = EventRecord::parse(source, raw)?.record;
        Some(EvidenceRecord { place, record, may_be_named: true })
    };
    message.records.iter().map(AsRef::as_ref).enumerate().filter_map(parse).collect()
}

//! Incidents with their suspects, and a sample of each: the latest batch.

use hydration::incident::{Incident, IncidentResult};
use hydration::message::parsed::ParsedMessage;
use hydration::suspects::{Suspect, SuspectRule};

use super::page_text::{PageText, minute_or_dash};
use super::tables::status_class;
use super::totals::TotalCells;
use crate::print::{count, pretty_json, records, short_id, thousands};
use crate::queue::hydrated_message::HydratedMessage;

/// Incidents on the page.
pub const MAX_INCIDENTS: usize = 50;
/// Records of an incident's latest batch: the suspects, or else the first ones.
const MAX_SAMPLES: usize = 2;
/// Bytes of all samples on the page.
const MAX_SAMPLE_BYTES: usize = 800_000;
/// Bytes of JSON that are given line breaks. Most records are shorter; of others only the beginning is shown.
const MAX_PRETTY_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub struct SuspectLine {
    pub record: String,
    pub sequence_number: PageText,
    pub rule: &'static str,
    pub words: PageText,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RecordSample {
    pub title: String,
    pub text: PageText,
}

#[derive(Debug, Clone, PartialEq)]
pub struct IncidentCard {
    pub function: PageText,
    pub status: &'static str,
    pub class: &'static str,
    pub condition: PageText,
    pub error: PageText,
    pub reason: Option<PageText>,
    pub cells: TotalCells,
    pub shards: String,
    pub first: String,
    pub last: String,
    pub id: PageText,
    pub request_id: Option<PageText>,
    pub shard: PageText,
    pub range: Option<PageText>,
    pub suspects: Vec<SuspectLine>,
    /// The reason why there are none.
    pub no_suspects: String,
    pub samples: Vec<RecordSample>,
}

/// The latest batch of an incident with its records, or the reason why they could not be read.
pub struct LatestBatch<'a> {
    pub message: &'a HydratedMessage,
    pub records: Result<(ParsedMessage, Vec<Suspect>), String>,
}

/// Cards of the incidents. All samples together are bounded.
pub struct IncidentCards {
    pub cards: Vec<IncidentCard>,
    with_records: bool,
    sample_bytes_left: usize,
    samples_left_out: u64,
    incidents_left_out: u64,
}

impl IncidentCards {
    pub fn new(with_records: bool) -> Self {
        let cards = Vec::new();
        Self { cards, with_records, sample_bytes_left: MAX_SAMPLE_BYTES, samples_left_out: 0, incidents_left_out: 0 }
    }

    /// No further incident has a card.
    pub fn is_full(&self) -> bool {
        self.cards.len() >= MAX_INCIDENTS
    }

    /// Counts an incident that has no card.
    pub fn leave_out(&mut self) {
        self.incidents_left_out += 1;
    }

    pub fn add(&mut self, incident: &Incident, latest: &LatestBatch<'_>) {
        let card = self.card(incident, latest);
        self.cards.push(card);
    }

    fn card(&mut self, incident: &Incident, latest: &LatestBatch<'_>) -> IncidentCard {
        let (message, found) = (latest.message, latest.records.as_ref().ok());
        let key = &incident.key;
        let class = match &key.result {
            IncidentResult::Hydrated(status) => status_class(*status),
            IncidentResult::NotHydrated(_) => "bad",
        };
        let range = message.first.as_ref().zip(message.last.as_ref());
        let shard = format!("{}/{}", message.stream_name(), message.shard.as_deref().unwrap_or("-"));
        IncidentCard {
            function: PageText::name(&key.function_and_version()),
            status: key.result.as_str(),
            class,
            condition: PageText::name(&key.condition),
            error: PageText::name(&key.error),
            reason: incident.reason.as_deref().map(PageText::sentence),
            cells: TotalCells {
                batches: thousands(incident.batches),
                records: thousands(incident.records),
                lost: thousands(incident.missing),
            },
            shards: count(incident.shards, "shard", "shards"),
            first: minute_or_dash(incident.first),
            last: minute_or_dash(incident.last),
            id: PageText::name(&short_id(&incident.example)),
            request_id: message.request_id.as_deref().map(PageText::name),
            shard: PageText::name(&shard),
            range: range.map(|(first, last)| PageText::sentence(&format!("{first} to {last}"))),
            suspects: found.map(|(_, suspects)| self.suspects(suspects)).unwrap_or_default(),
            no_suspects: no_suspects(latest),
            samples: found.map(|(received, suspects)| self.samples(received, suspects)).unwrap_or_default(),
        }
    }

    fn suspects(&self, suspects: &[Suspect]) -> Vec<SuspectLine> {
        let line = |suspect: &Suspect| SuspectLine {
            record: thousands(suspect.place as u64 + 1),
            sequence_number: PageText::name(suspect.sequence_number.as_str()),
            rule: suspect.rule.as_str(),
            // The reason may quote the record.
            words: if self.with_records {
                PageText::sentence(&suspect.reason)
            } else {
                PageText::sentence(rule_words(suspect.rule))
            },
        };
        suspects.iter().map(line).collect()
    }

    fn samples(&mut self, received: &ParsedMessage, suspects: &[Suspect]) -> Vec<RecordSample> {
        if !self.with_records {
            return Vec::new();
        }
        let mut places: Vec<usize> = suspects.iter().map(|suspect| suspect.place).collect();
        if places.is_empty() {
            places.extend(0..received.records.len());
        }
        places.truncate(MAX_SAMPLES);
        let mut samples = Vec::new();
        for place in places {
            let Some(record) = records::as_json(received, &[place]).pop() else { continue };
            let json = serde_json::to_string(&record).unwrap_or_default();
            let text = if json.len() <= MAX_PRETTY_BYTES { pretty_json(&json) } else { json };
            let text = PageText::record(&text);
            match self.sample_bytes_left.checked_sub(text.escaped_bytes()) {
                None => self.samples_left_out += 1,
                Some(left) => {
                    self.sample_bytes_left = left;
                    let (number, all) = (thousands(place as u64 + 1), thousands(received.records.len() as u64));
                    samples.push(RecordSample { title: format!("Record {number} of {all}"), text });
                }
            }
        }
        samples
    }

    /// What the page has no room for, in words.
    pub fn left_out(&self) -> Vec<String> {
        let incidents = count(self.incidents_left_out, "older incident", "older incidents");
        let samples = count(self.samples_left_out, "sample", "samples");
        let lines = [
            (self.incidents_left_out, format!("Left out: {incidents}.")),
            (self.samples_left_out, format!("Left out: {samples} of record data, so that the page stays small.")),
        ];
        lines.into_iter().filter(|(number, _)| *number > 0).map(|(_, line)| line).collect()
    }
}

fn no_suspects(latest: &LatestBatch<'_>) -> String {
    match &latest.records {
        _ if latest.message.records == 0 => "no record is left to look at".to_owned(),
        Err(error) => format!("not looked for: {}", PageText::sentence(error)),
        Ok(_) => "no record stands out from the others".to_owned(),
    }
}

/// The rule in words that quote no record.
fn rule_words(rule: SuspectRule) -> &'static str {
    match rule {
        SuspectRule::LoggedId => "the log names it by an id or a key",
        SuspectRule::LoggedValue => "the log names a value that few other records have",
        SuspectRule::Empty => "it has no data, where the others have some",
        SuspectRule::Encoding => "its data has another form than that of the others",
        SuspectRule::Type => "a value has another type than in the others",
        SuspectRule::MissingKey => "a key that the others have is missing",
        SuspectRule::Null => "a value is null that the others have",
        SuspectRule::Number => "a number is far outside the range of the others",
        SuspectRule::Text => "a text has another form than in the others",
        SuspectRule::NewValue => "a value is new in a small set that the others share",
        SuspectRule::Duplicate => "it has the id of another record",
        SuspectRule::Size => "it is much larger than the others",
        SuspectRule::Nesting => "it is much deeper nested than the others",
        SuspectRule::Characters => "it has characters that are damaged, or that no other record has",
    }
}

//! The rules that find records which the log names.

use std::collections::{HashMap, HashSet};

use crate::record::StreamRecord;
use crate::suspects::SuspectRule;
use crate::suspects::evidence::BatchEvidence;
use crate::suspects::judge::Clue;
use crate::suspects::log::{InvocationLog, Literal, normal_key, number_text, tokens};
use crate::suspects::unit::{Decoder, Unit};
use crate::suspects::walk::{ValueSink, WalkedValue, walk};

/// Quoted texts that are searched for within values and in data that is no JSON.
const MAX_NEEDLES: usize = 24;
const MIN_NEEDLE_BYTES: usize = 6;
/// Values of several words that are looked up in the text of the errors.
const MAX_LOOKUPS: usize = 5_000;
/// The longest value whose words are compared, in bytes.
const MAX_WORDED_BYTES: usize = 4_096;
/// The records that count at most, as in the rules about values.
const MAX_COUNTED: f64 = 128.0;

/// Places in a record where a literal may be, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HitPlace {
    SequenceNumber,
    PartitionKey,
    ItemKey,
    Value,
    Key,
    /// A word of a value, or a piece of the data.
    Within,
}

/// A literal that a record has.
#[derive(Debug, Clone)]
struct Hit {
    record: usize,
    place: HitPlace,
    /// The last key before the value, in its normal form.
    key: Option<String>,
}

/// The records that have a literal, as far as they are few.
#[derive(Debug, Default)]
struct Hits {
    found: Vec<Hit>,
    records: usize,
    last: Option<usize>,
}

struct LiteralSearch<'l> {
    log: &'l InvocationLog,
    /// Literals by their text.
    by_text: HashMap<&'l str, Vec<usize>>,
    /// Literals that are numbers, by their shortest form.
    by_number: HashMap<String, Vec<usize>>,
    needles: Vec<usize>,
    /// One entry a literal.
    hits: Vec<Hits>,
    /// The most records that may share a literal.
    limit: usize,
    record: usize,
    lookups: usize,
    words: HashSet<&'l str>,
    /// Values of several words that the errors quote without marks, with the records that have them.
    phrases: HashMap<String, Hits>,
}

/// A clue for each record that the log names.
pub fn clues(evidence: &BatchEvidence, log: &InvocationLog) -> Vec<Clue> {
    if log.literals.is_empty() {
        return Vec::new();
    }
    let all = evidence.records.len() + evidence.background.len();
    let mut search = LiteralSearch::new(log, (all / 20).clamp(1, 5));
    let mut decoder = Decoder::new(evidence.is_deaggregated);
    let records = evidence.records.iter().map(|record| &record.record).chain(&evidence.background);
    for (index, record) in records.enumerate() {
        search.record = index;
        search.search_ids(record);
        decoder.visit(record, |unit| search.search_unit(&unit));
    }
    search.clues(evidence, all)
}

impl<'l> LiteralSearch<'l> {
    fn new(log: &'l InvocationLog, limit: usize) -> Self {
        let mut by_text: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_number: HashMap<String, Vec<usize>> = HashMap::new();
        let mut needles: Vec<usize> = Vec::new();
        let mut needle_texts = HashSet::new();
        for (index, literal) in log.literals.iter().enumerate() {
            by_text.entry(literal.text.as_str()).or_default().push(index);
            // An event id of Kinesis is the shard's id and the sequence number.
            if let Some((_, number)) = literal.text.rsplit_once(':').filter(|(_, number)| number.len() > 20) {
                by_text.entry(number).or_default().push(index);
            }
            if let Some(number) = number_text(&literal.text) {
                by_number.entry(number).or_default().push(index);
            }
            let is_needle = literal.is_error && literal.is_quoted && literal.text.len() >= MIN_NEEDLE_BYTES;
            if is_needle && needles.len() < MAX_NEEDLES && needle_texts.insert(literal.text.as_str()) {
                needles.push(index);
            }
        }
        let hits = log.literals.iter().map(|_| Hits::default()).collect();
        let errors = log.literals.iter().filter(|literal| literal.is_error && !literal.is_quoted);
        let words = errors.map(|literal| literal.text.as_str()).collect();
        let phrases = HashMap::new();
        Self { log, by_text, by_number, needles, hits, limit, record: 0, lookups: 0, words, phrases }
    }

    fn search_ids(&mut self, record: &StreamRecord) {
        self.look_up(record.sequence_number().as_str(), HitPlace::SequenceNumber, None);
        match record {
            StreamRecord::Kinesis(record) => self.look_up(&record.partition_key, HitPlace::PartitionKey, None),
            StreamRecord::DynamoDb(change) => {
                if let Some(id) = &change.event_id {
                    self.look_up(id, HitPlace::SequenceNumber, None);
                }
            }
        }
    }

    fn search_unit(&mut self, unit: &Unit<'_>) {
        if let (Some(key), Some(_)) = (unit.partition_key, unit.in_aggregate) {
            self.look_up(key, HitPlace::PartitionKey, None);
        }
        let mut sink = SearchSink { search: self, keys: Vec::new() };
        walk(&unit.content, &mut sink);
        let Some(text) = unit.content.text() else { return };
        for needle in self.needles.clone() {
            let literal = self.log.literals.get(needle);
            if literal.is_some_and(|literal| text.contains(literal.text.as_str())) {
                self.hit(needle, HitPlace::Within, None);
            }
        }
    }

    fn look_up(&mut self, text: &str, place: HitPlace, key: Option<&str>) {
        let found = self.by_text.get(text).cloned().unwrap_or_default();
        found.into_iter().for_each(|index| self.hit(index, place, key));
    }

    fn look_up_number(&mut self, number: &str, place: HitPlace, key: Option<&str>) {
        let found = self.by_number.get(number).cloned().unwrap_or_default();
        found.into_iter().for_each(|index| self.hit(index, place, key));
    }

    fn hit(&mut self, literal: usize, place: HitPlace, key: Option<&str>) {
        let (record, limit) = (self.record, self.limit);
        if let Some(hits) = self.hits.get_mut(literal) {
            hits.add(record, place, key, limit);
        }
    }

    fn search_text(&mut self, text: &str, place: HitPlace, key: Option<&str>) {
        let trimmed = text.trim();
        self.look_up(trimmed, place, key);
        if let Some(number) = number_text(trimmed) {
            self.look_up_number(&number, place, key);
        }
        if trimmed.len() > MAX_WORDED_BYTES || !trimmed.contains(|character: char| !character.is_alphanumeric()) {
            return;
        }
        let mut words = 0;
        let mut are_all_logged = true;
        for word in tokens(trimmed) {
            words += 1;
            are_all_logged &= self.words.contains(word);
            if word.len() >= 4 && word.len() < trimmed.len() && word.bytes().any(|byte| byte.is_ascii_digit()) {
                self.look_up(word, HitPlace::Within, key);
            }
        }
        let is_phrase = words > 1 && are_all_logged && trimmed.len() >= MIN_NEEDLE_BYTES && self.lookups < MAX_LOOKUPS;
        if is_phrase {
            self.lookups += 1;
            if self.log.errors_have(trimmed) {
                let (record, limit) = (self.record, self.limit);
                self.phrases.entry(trimmed.to_owned()).or_default().add(record, HitPlace::Value, key, limit);
            }
        }
    }

    /// The evidence against each record that may be named.
    fn clues(self, evidence: &BatchEvidence, all: usize) -> Vec<Clue> {
        let mut found = Vec::new();
        let surprise = |records: usize| ((all as f64).min(MAX_COUNTED) / (records.max(1) as f64)).log2();
        for (literal, hits) in self.log.literals.iter().zip(&self.hits) {
            if literal.is_error && hits.is_few(self.limit) {
                let named = hits.found.iter().map(|hit| clue(hit, literal, hits.records, surprise(hits.records)));
                found.extend(named);
            }
        }
        for (phrase, hits) in self.phrases.iter().filter(|(_, hits)| hits.is_few(self.limit)) {
            let literal =
                Literal { text: phrase.clone(), is_quoted: true, key: None, line: 0, is_error: true, is_cut: false };
            found.extend(hits.found.iter().map(|hit| clue(hit, &literal, hits.records, surprise(hits.records))));
        }
        found.extend(self.last_before_errors(surprise(1)));
        found.retain(|clue| evidence.records.get(clue.record).is_some_and(|record| record.may_be_named));
        found
    }

    /// The records that the log names last before an error, where other lines name others: the one in work.
    fn last_before_errors(&self, surprise: f64) -> Vec<Clue> {
        let mut by_line: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, literal) in self.log.literals.iter().enumerate().filter(|(_, literal)| !literal.is_error) {
            by_line.entry(literal.line).or_default().push(index);
        }
        let mut found = Vec::new();
        for lines in self.log.lines_before_errors() {
            let named = lines.iter().rev().find_map(|line| {
                let hits = by_line
                    .get(line)?
                    .iter()
                    .filter_map(|index| Some((self.log.literals.get(*index)?, self.hits.get(*index)?)));
                let unique = hits.filter(|(_, hits)| hits.records == 1);
                let clues: Vec<Clue> = unique
                    .flat_map(|(literal, hits)| hits.found.iter().map(|hit| clue(hit, literal, 1, surprise)))
                    .collect();
                (!clues.is_empty()).then_some(clues)
            });
            found.extend(named.into_iter().flatten().map(|clue| Clue {
                bits: clue.bits - 2.0,
                usual: "the last that the log names before the error".to_owned(),
                ..clue
            }));
        }
        found
    }
}

impl Hits {
    fn add(&mut self, record: usize, place: HitPlace, key: Option<&str>, limit: usize) {
        if self.last.replace(record) != Some(record) {
            self.records += 1;
        }
        let key = key.map(normal_key);
        let has_room = self.found.len() <= limit;
        match self.found.last_mut().filter(|hit| hit.record == record) {
            Some(known) if place < known.place => *known = Hit { record, place, key },
            None if has_room => self.found.push(Hit { record, place, key }),
            Some(_) | None => {}
        }
    }

    fn is_few(&self, limit: usize) -> bool {
        (1..=limit).contains(&self.records)
    }
}

/// The bits of a literal by itself: how little it is likely to be in a record by chance.
fn strength(literal: &Literal, hit: &Hit) -> f64 {
    let text = &literal.text;
    let (characters, digits) = (text.chars().count(), text.bytes().filter(|byte| byte.is_ascii_digit()).count());
    let is_number = number_text(text).is_some();
    let has_letters = text.chars().any(char::is_alphabetic);
    let has_capitals = text.chars().filter(|character| character.is_uppercase()).count() > 1;
    let is_compound = text.contains(['_', '-', '@', '/', '.']);
    let mut bits = match characters {
        _ if is_number => {
            let by_digits = match digits {
                0..=2 => 0.5,
                3 => 1.5,
                4 => 3.0,
                5..=6 => 4.5,
                _ => 6.5,
            };
            by_digits + if text.starts_with('-') { 2.0 } else { 0.0 } + if text.contains('.') { 1.0 } else { 0.0 }
        }
        20.. if digits > 0 => 8.0,
        _ if digits > 0 && has_letters && characters >= 4 => 6.5,
        0..=2 => 0.5,
        _ if is_compound || has_capitals => 4.5,
        _ => 0.0,
    };
    if literal.is_quoted {
        bits += match characters {
            0..=1 => 0.5,
            2..=3 => 2.5,
            _ => 4.5,
        };
    }
    let is_keyed = literal.key.is_some() && literal.key == hit.key;
    if is_keyed {
        bits += 3.5;
    }
    match hit.place {
        HitPlace::SequenceNumber => 14.0,
        HitPlace::PartitionKey | HitPlace::ItemKey => bits + 1.0,
        HitPlace::Value => bits,
        // A key that few records have, where the error quotes it.
        HitPlace::Key if literal.is_quoted => bits.min(5.0),
        HitPlace::Key => 0.0,
        HitPlace::Within => bits.min(7.0) - 2.0,
    }
}

fn clue(hit: &Hit, literal: &Literal, records: usize, surprise: f64) -> Clue {
    let strength = strength(literal, hit);
    let rule = match hit.place {
        HitPlace::SequenceNumber | HitPlace::PartitionKey | HitPlace::ItemKey => SuspectRule::LoggedId,
        HitPlace::Value | HitPlace::Key | HitPlace::Within => SuspectRule::LoggedValue,
    };
    let what = match hit.place {
        HitPlace::SequenceNumber => "its sequence number or event id",
        HitPlace::PartitionKey => "its partition key",
        HitPlace::ItemKey => "a key of its item",
        HitPlace::Value => "a value of it",
        HitPlace::Key => "a key of it",
        HitPlace::Within => "a part of it",
    };
    let shown = shorten(&literal.text);
    let usual = match records {
        1 => "no other record has it".to_owned(),
        several => format!("{several} records have it"),
    };
    // Without strength of its own, being rare is nothing.
    let bits = if strength <= 1.0 { strength } else { strength + surprise };
    let claim = format!("the log names {what}, \"{shown}\"");
    Clue { record: hit.record, unit: None, rule, bits, claim, here: None, usual, like: None }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A walk that looks the values up.
struct SearchSink<'s, 'l> {
    search: &'s mut LiteralSearch<'l>,
    /// The keys so far. An element of a list has none.
    keys: Vec<Option<String>>,
}

impl SearchSink<'_, '_> {
    fn key_of_value(&self) -> Option<String> {
        self.keys.iter().rev().find_map(Clone::clone)
    }

    fn place(&self) -> HitPlace {
        let is_item_key = self.keys.first().is_some_and(|key| key.as_deref() == Some("keys"));
        if is_item_key { HitPlace::ItemKey } else { HitPlace::Value }
    }
}

impl ValueSink for SearchSink<'_, '_> {
    fn key(&mut self, key: &str) {
        self.search.look_up(key, HitPlace::Key, None);
        self.keys.push(Some(key.to_owned()));
    }

    fn element(&mut self) {
        self.keys.push(None);
    }

    fn column(&mut self, _: u32) {
        self.keys.push(None);
    }

    fn leave(&mut self) {
        self.keys.pop();
    }

    fn value(&mut self, value: WalkedValue<'_>) {
        let (key, place) = (self.key_of_value(), self.place());
        match value {
            WalkedValue::Text(text) => self.search.search_text(text, place, key.as_deref()),
            WalkedValue::NumberText(text) => {
                if let Some(number) = number_text(text) {
                    self.search.look_up_number(&number, place, key.as_deref());
                }
            }
            WalkedValue::Number(number) => {
                self.search.look_up_number(&number.to_string(), place, key.as_deref());
            }
            WalkedValue::Null | WalkedValue::Bool(_) | WalkedValue::Binary(_) | WalkedValue::Set(_) => {}
        }
    }

    fn object(&mut self, _: usize) {}

    fn list(&mut self, _: usize) {}
}

//! Reasons in words, with the values that they are about.

use crate::suspects::content::UnitContent;
use crate::suspects::evidence::BatchEvidence;
use crate::suspects::judge::{Clue, ValuePlace};
use crate::suspects::path::{PathId, PathStep, Paths};
use crate::suspects::profile::Profile;
use crate::suspects::unit::Decoder;
use crate::suspects::walk::{ValueSink, WalkedValue, walk};

/// Characters of a value that are quoted.
const MAX_QUOTED_CHARS: usize = 60;

/// The writer of reasons. It reads the few values that are quoted once more, because the profile keeps no text.
pub struct Reasons<'a> {
    evidence: &'a BatchEvidence,
    profile: &'a Profile,
}

impl<'a> Reasons<'a> {
    pub fn new(evidence: &'a BatchEvidence, profile: &'a Profile) -> Self {
        Self { evidence, profile }
    }

    /// `` `total` is a string, "12,50 €"; it is a number in 99 others``.
    pub fn reason(&mut self, clue: &Clue) -> String {
        let mut reason = String::new();
        let in_aggregate = clue.unit.and_then(|unit| self.profile.unit(unit)).and_then(|unit| unit.in_aggregate);
        if let Some(number) = in_aggregate {
            reason.push_str(&format!("in user record {number} of the aggregate, "));
        }
        reason.push_str(&self.claim(clue));
        if let Some(quoted) = clue.here.and_then(|place| self.quote(place)) {
            reason.push_str(&format!(": {quoted}"));
        }
        if !clue.usual.is_empty() {
            reason.push_str(&format!("; {}", clue.usual));
        }
        if let Some(quoted) = clue.like.and_then(|place| self.quote(place)) {
            reason.push_str(&format!(" (one has {quoted})"));
        }
        reason
    }

    /// The claim, with what is wrong with text that begins as JSON.
    fn claim(&self, clue: &Clue) -> String {
        let fault = clue.unit.and_then(|unit| self.visit(unit, |content| content.json_fault())).flatten();
        match fault {
            Some(fault) => format!("it {fault}"),
            None => clue.claim.clone(),
        }
    }

    /// The value at a place, as JSON, shortened.
    fn quote(&self, place: ValuePlace) -> Option<String> {
        let wanted = path_of(&self.profile.paths, place.path);
        self.visit(place.unit, |content| {
            let mut sink =
                QuoteSink { wanted: &wanted, ordinal: place.ordinal, steps: Vec::new(), seen: 0, quoted: None };
            walk(content, &mut sink);
            sink.quoted
        })?
    }

    /// Visits the content of a unit once more.
    fn visit<T>(&self, unit: u32, visit: impl FnOnce(&UnitContent<'_>) -> T) -> Option<T> {
        let wanted = self.profile.unit(unit)?;
        let record = &self.evidence.records.get(wanted.record?)?.record;
        let mut visit = Some(visit);
        let mut result = None;
        Decoder::new(self.evidence.is_deaggregated).visit(record, |unit| {
            if unit.in_aggregate == wanted.in_aggregate
                && let Some(visit) = visit.take()
            {
                result = Some(visit(&unit.content));
            }
        });
        result
    }
}

fn path_of(paths: &Paths, path: PathId) -> Vec<PathStep> {
    let mut steps = Vec::new();
    let mut path = path;
    while path != PathId::ROOT {
        steps.extend(paths.step(path).cloned());
        path = paths.parent(path);
    }
    steps.reverse();
    steps
}

/// A walk that quotes one value.
struct QuoteSink<'w> {
    wanted: &'w [PathStep],
    ordinal: u32,
    steps: Vec<PathStep>,
    seen: u32,
    quoted: Option<String>,
}

impl QuoteSink<'_> {
    fn observe(&mut self, quote: impl FnOnce() -> String) {
        if self.steps == self.wanted {
            if self.seen == self.ordinal {
                self.quoted = Some(quote());
            }
            self.seen += 1;
        }
    }
}

impl ValueSink for QuoteSink<'_> {
    fn key(&mut self, key: &str) {
        self.steps.push(PathStep::key(key));
    }

    fn element(&mut self) {
        self.steps.push(PathStep::Element);
    }

    fn column(&mut self, number: u32) {
        self.steps.push(PathStep::Column(number));
    }

    fn leave(&mut self) {
        self.steps.pop();
    }

    fn value(&mut self, value: WalkedValue<'_>) {
        self.observe(|| match value {
            WalkedValue::Null => "null".to_owned(),
            WalkedValue::Bool(value) => value.to_string(),
            WalkedValue::Number(number) => number.to_string(),
            WalkedValue::NumberText(text) => shorten(text),
            WalkedValue::Text(text) => {
                let mut quoted = String::new();
                crate::json::write_string(&shorten(text), &mut quoted);
                quoted
            }
            WalkedValue::Binary(bytes) => format!("{} bytes", bytes.len()),
            WalkedValue::Set(kind) => kind.to_owned(),
        });
    }

    fn object(&mut self, keys: usize) {
        self.observe(|| format!("{{…}} with {keys} keys"));
    }

    fn list(&mut self, elements: usize) {
        self.observe(|| format!("[…] with {elements} elements"));
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

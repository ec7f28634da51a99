//! Whole units: their form, size and depth.

use std::collections::HashMap;

use crate::suspects::SuspectRule;
use crate::suspects::content::ContentKind;
use crate::suspects::judge::{Clue, Judge, others, strong_limit, surprise, weak_limit};
use crate::suspects::log::Topic;
use crate::suspects::profile::ProfiledUnit;

const KIND_BITS: f64 = 5.0;
const GZIP_BITS: f64 = 2.5;
const AGGREGATE_BITS: f64 = 1.0;
const HUGE_NUMBER_BITS: f64 = 4.0;
const SIZE_BITS: f64 = 2.0;
const DEPTH_BITS: f64 = 3.0;
const FIRST_BYTE_BITS: f64 = 1.5;
const DAMAGED_BITS: f64 = 2.5;

/// Bytes from which a record can be much larger than others.
const LARGE_BYTES: usize = 20_000;

/// A mark of whole units.
struct UnitMark<'m> {
    rule: SuspectRule,
    bits: f64,
    topic: Topic,
    limit: fn(usize) -> usize,
    claim: &'m dyn Fn(&ProfiledUnit) -> String,
    usual: &'m str,
}

impl Judge<'_> {
    pub(super) fn judge_units(&mut self) {
        self.judge_kinds();
        self.judge_aggregates();
        self.judge_size();
        self.judge_depth();
        let huge = UnitMark {
            rule: SuspectRule::Number,
            bits: HUGE_NUMBER_BITS,
            topic: Topic::Number,
            limit: strong_limit,
            claim: &|_| "it has a number that is too large for any machine".to_owned(),
            usual: "have none",
        };
        self.judge_mark(&huge, |unit| Some(unit.has_huge_number), |mark| *mark);
        let damaged = UnitMark {
            rule: SuspectRule::Characters,
            bits: DAMAGED_BITS,
            topic: Topic::Characters,
            limit: strong_limit,
            claim: &|_| "it has control or damaged characters".to_owned(),
            usual: "have none",
        };
        let is_damaged = |unit: &ProfiledUnit| (unit.kind == ContentKind::Text).then_some(unit.is_damaged);
        self.judge_mark(&damaged, is_damaged, |mark| *mark);
        let first_byte = UnitMark {
            rule: SuspectRule::Encoding,
            bits: FIRST_BYTE_BITS,
            topic: Topic::Json,
            limit: weak_limit,
            claim: &|unit| format!("its first byte is {:02x}", unit.first_byte),
            usual: "begin with another byte",
        };
        let byte = |unit: &ProfiledUnit| (unit.kind == ContentKind::Binary).then_some(unit.first_byte);
        self.judge_mark(&first_byte, byte, |_| true);
        let length = UnitMark {
            claim: &|unit| format!("it has {} bytes", unit.bytes),
            usual: "are all of one size",
            ..first_byte
        };
        let is_binary = self.profile.units.iter().filter(|unit| unit.kind == ContentKind::Binary);
        let mut sizes: HashMap<usize, usize> = HashMap::new();
        is_binary.for_each(|unit| *sizes.entry(unit.bytes).or_default() += 1);
        if sizes.len() == 2 {
            self.judge_mark(&length, |unit| (unit.kind == ContentKind::Binary).then_some(unit.bytes), |_| true);
        }
    }

    fn judge_kinds(&mut self) {
        let kind = UnitMark {
            rule: SuspectRule::Encoding,
            bits: KIND_BITS,
            topic: Topic::Json,
            limit: kind_limit,
            claim: &|unit| kind_words(unit.kind).to_owned(),
            usual: "are of another form",
        };
        self.judge_mark(&kind, |unit| Some(unit.kind), |kind| *kind != ContentKind::Empty);
        let empty = UnitMark { rule: SuspectRule::Empty, usual: "have data", ..kind };
        self.judge_mark(&empty, |unit| Some(unit.kind), |kind| *kind == ContentKind::Empty);
        let gzip = UnitMark {
            bits: GZIP_BITS,
            claim: &|unit| if unit.gzipped { "it is gzipped" } else { "it is not gzipped" }.to_owned(),
            usual: "are the other way",
            rule: SuspectRule::Encoding,
            ..kind
        };
        let has_text = |unit: &ProfiledUnit| matches!(unit.kind, ContentKind::Json | ContentKind::Text);
        self.judge_mark(&gzip, |unit| has_text(unit).then_some(unit.gzipped), |_| true);
    }

    /// Blames the units whose mark few others have.
    fn judge_mark<K: std::hash::Hash + Eq>(
        &mut self,
        mark: &UnitMark<'_>,
        category: impl Fn(&ProfiledUnit) -> Option<K>,
        is_blamed: impl Fn(&K) -> bool,
    ) {
        let mut counts: HashMap<K, usize> = HashMap::new();
        for key in self.profile.units.iter().filter_map(&category) {
            *counts.entry(key).or_default() += 1;
        }
        let all: usize = counts.values().sum();
        let largest = counts.values().copied().max().unwrap_or_default();
        let rare = all - largest;
        if rare == 0 || rare > (mark.limit)(all) || largest < 4 * rare {
            return;
        }
        let is_rare = |key: &K| counts.get(key).is_some_and(|count| *count < largest) && is_blamed(key);
        let bits = self.weight(mark.bits, &[mark.topic], None).bits + surprise(all, rare);
        let usual = format!("{} {}", others(largest), mark.usual);
        let mut found = Vec::new();
        for (number, unit) in (0_u32..).zip(&self.profile.units) {
            if category(unit).is_some_and(|key| is_rare(&key)) {
                let clue = self.clue(number, mark.rule, bits, (mark.claim)(unit));
                found.extend(clue.map(|clue| Clue { usual: usual.clone(), ..clue }));
            }
        }
        self.clues.extend(found);
    }

    /// Judges aggregates among plain records. A plain record among aggregates is usual: the producer library sends one
    /// where it has a single user record.
    fn judge_aggregates(&mut self) {
        let all = self.profile.aggregates.len();
        let aggregates = self.profile.aggregates.iter().filter(|is_aggregate| **is_aggregate).count();
        if aggregates == 0 || aggregates > weak_limit(all) || all < 5 * aggregates {
            return;
        }
        let bits =
            self.weight(AGGREGATE_BITS, &[Topic::Json, Topic::Characters], None).bits + surprise(all, aggregates);
        let mut seen = std::collections::HashSet::new();
        let mut found = Vec::new();
        for (number, unit) in (0_u32..).zip(&self.profile.units) {
            let Some(record) = unit.record else { continue };
            if self.profile.aggregates.get(record) == Some(&true) && seen.insert(record) {
                let claim = "it is a KPL aggregate".to_owned();
                let usual = format!("{} are plain records", others(all - aggregates));
                let clue = self.clue(number, SuspectRule::Encoding, bits, claim);
                found.extend(clue.map(|clue| Clue { usual, ..clue }));
            }
        }
        self.clues.extend(found);
    }

    fn judge_size(&mut self) {
        let Some((unit, bytes, second)) = self.largest(|unit| unit.bytes) else { return };
        let is_size = self.log.is_about(Topic::Size);
        let ratio = bytes as f64 / (second.max(1) as f64);
        let (least_bytes, least_ratio) = if is_size { (1000, 1.5) } else { (LARGE_BYTES, 8.0) };
        let all = self.profile.units.len();
        if all < 5 || bytes < least_bytes || ratio < least_ratio {
            return;
        }
        let bits = SIZE_BITS + (ratio / 8.0).log2().clamp(-1.0, 3.0);
        let bits = self.weight(bits, &[Topic::Size], None).bits + surprise(all, 1);
        let usual = format!("{} have at most {second}", others(all - 1));
        let clue = self.clue(unit, SuspectRule::Size, bits, format!("it has {bytes} bytes"));
        self.clues.extend(clue.map(|clue| Clue { usual, ..clue }));
    }

    fn judge_depth(&mut self) {
        let Some((unit, depth, second)) = self.largest(|unit| unit.depth) else { return };
        let is_nesting = self.log.is_about(Topic::Nesting);
        let all = self.profile.units.len();
        if all < 5 || depth < second + if is_nesting { 2 } else { 8 } || depth < second * 2 && !is_nesting {
            return;
        }
        let bits = self.weight(DEPTH_BITS, &[Topic::Nesting], None).bits + surprise(all, 1);
        let usual = format!("{} have at most {second}", others(all - 1));
        let clue = self.clue(unit, SuspectRule::Nesting, bits, format!("it is nested {depth} levels deep"));
        self.clues.extend(clue.map(|clue| Clue { usual, ..clue }));
    }

    /// The unit with the largest number, that number, and the second largest.
    fn largest(&self, number: impl Fn(&ProfiledUnit) -> usize) -> Option<(u32, usize, usize)> {
        let numbered = || (0_u32..).zip(&self.profile.units).map(|(index, unit)| (number(unit), index));
        let (most, index) = numbered().max()?;
        let second = numbered().filter(|(_, other)| *other != index).map(|(number, _)| number).max()?;
        Some((index, most, second))
    }
}

/// The most units of another form. A stream that carries two forms by design has more of each.
fn kind_limit(all: usize) -> usize {
    (all / 40).clamp(1, 3)
}

fn kind_words(kind: ContentKind) -> &'static str {
    match kind {
        ContentKind::Empty => "it has no data",
        ContentKind::Json => "it is JSON",
        ContentKind::BrokenJson => "it begins as JSON and is not valid JSON",
        ContentKind::Text => "it is text that is not JSON",
        ContentKind::Binary => "it is binary",
        ContentKind::Change => "it is a change of an item",
    }
}

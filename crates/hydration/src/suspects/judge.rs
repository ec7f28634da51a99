//! The rules that find records which are unlike the others.

mod class;
mod missing;
mod numbers;
mod texts;
mod units;
mod values;

use std::collections::HashMap;
use std::hash::Hash;

use crate::suspects::SuspectRule;
use crate::suspects::judge::class::Classes;
use crate::suspects::log::{InvocationLog, Topic};
use crate::suspects::path::PathId;
use crate::suspects::profile::{Observed, Profile};

/// The records that count at most. A mark in one record of ten thousand is hardly rarer than in one of a hundred: more
/// records have more of the natural variety.
const MAX_COUNTED: f64 = 128.0;
/// Bits for a rule that the error is about.
const TOPIC_BITS: f64 = 3.0;
/// Bits for a key that the error names.
const KEY_BITS: f64 = 5.0;

/// A value of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValuePlace {
    pub unit: u32,
    pub path: PathId,
    pub ordinal: u32,
}

/// A mark of a record, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Clue {
    /// The index of the record in the evidence.
    pub record: usize,
    pub unit: Option<u32>,
    pub rule: SuspectRule,
    pub bits: f64,
    /// What is so here: `total is a string`.
    pub claim: String,
    /// The value to quote after it.
    pub here: Option<ValuePlace>,
    /// What is so elsewhere: `a number in 99 others`.
    pub usual: String,
    /// A usual value to quote after that.
    pub like: Option<ValuePlace>,
}

impl Clue {
    /// Returns true if the claim has the text.
    pub fn quotes(&self, text: &str) -> bool {
        self.claim.contains(text)
    }
}

/// The clues of a batch, by rules that need no invocation.
pub fn clues(profile: &Profile, log: &InvocationLog) -> Vec<Clue> {
    let mut judge = Judge { profile, log, classes: Classes::of(profile), loose_keys: 0, clues: Vec::new() };
    judge.judge_units();
    judge.judge_missing();
    for path in profile.paths.ids() {
        judge.judge_values(path);
    }
    judge.clues
}

/// The judge of one batch.
struct Judge<'a> {
    profile: &'a Profile,
    log: &'a InvocationLog,
    classes: Classes,
    /// Sets of records that are without a key which most others have.
    loose_keys: usize,
    clues: Vec<Clue>,
}

/// The weight of a rule at a path.
#[derive(Debug, Clone, Copy)]
struct Weight {
    bits: f64,
}

/// Values that share a mark which few have.
struct Rare<'v> {
    values: Vec<&'v Observed>,
    /// Units of these values.
    units: Vec<u32>,
    /// Units that have a value here, the rare ones included.
    all_units: usize,
}

impl Rare<'_> {
    fn others(&self) -> usize {
        self.all_units - self.units.len()
    }
}

impl Judge<'_> {
    /// The weight of a rule, with what the log adds to it.
    fn weight(&self, bits: f64, topics: &[Topic], path: Option<PathId>) -> Weight {
        let about = topics.iter().any(|topic| self.log.is_about(*topic));
        let named = path.is_some_and(|path| self.names_key_of(path));
        let added = if about { TOPIC_BITS } else { 0.0 } + if named { KEY_BITS } else { 0.0 };
        Weight { bits: bits + added }
    }

    /// Returns true if an error names the key of the path.
    fn names_key_of(&self, path: PathId) -> bool {
        self.profile.paths.last_key(path).is_some_and(|key| self.log.names_key(key))
    }

    /// Adds a clue for each rare value, in the first of its units' places.
    fn blame(&mut self, rule: SuspectRule, path: PathId, rare: &Rare<'_>, weight: Weight, text: &ClueTexts<'_>) {
        let bits = weight.bits + surprise(rare.all_units, rare.units.len());
        let mut last = None;
        for value in &rare.values {
            if last.replace(value.unit) == Some(value.unit) {
                continue;
            }
            let claim = (text.claim)(value);
            let here = text.quotes.then_some(ValuePlace { unit: value.unit, path, ordinal: value.ordinal });
            let clue = self.clue(value.unit, rule, bits - self.classes.discount(value.unit, rule), claim);
            let usual = format!("{}{}", text.usual, self.key_in_log(path));
            let like = text.like.map(|like| ValuePlace { unit: like.unit, path, ordinal: like.ordinal });
            self.clues.extend(clue.map(|clue| Clue { here, usual, like, ..clue }));
        }
    }

    /// A clue at a unit, unless it may not be named.
    fn clue(&self, unit: u32, rule: SuspectRule, bits: f64, claim: String) -> Option<Clue> {
        let profiled = self.profile.unit(unit).filter(|profiled| profiled.may_be_named)?;
        let record = profiled.record?;
        Some(Clue { record, unit: Some(unit), rule, bits, claim, here: None, usual: String::new(), like: None })
    }

    /// The end of a reason where an error names the key.
    fn key_in_log(&self, path: PathId) -> &'static str {
        if self.names_key_of(path) { ", and the log names the key" } else { "" }
    }

    fn name(&self, path: PathId) -> String {
        self.profile.paths.name(path)
    }
}

/// The texts of a clue.
struct ClueTexts<'t> {
    claim: &'t dyn Fn(&Observed) -> String,
    /// The value is quoted after the claim.
    quotes: bool,
    usual: String,
    like: Option<&'t Observed>,
}

/// The bits of a mark that some of the units have.
fn surprise(all: usize, marked: usize) -> f64 {
    ((all as f64).min(MAX_COUNTED) / (marked.max(1) as f64)).log2()
}

/// The most units that may share a mark of strong evidence: a type, a form.
fn strong_limit(all: usize) -> usize {
    (all / 20).clamp(1, 5)
}

/// The most units that may share a mark which healthy data has now and then: a null, a new value.
fn weak_limit(all: usize) -> usize {
    if all < 150 { 1 } else { 2 }
}

/// Units in values, which are in the order of the units.
fn distinct_units<'v>(values: impl Iterator<Item = &'v Observed>) -> Vec<u32> {
    let mut units: Vec<u32> = values.map(|value| value.unit).collect();
    units.dedup();
    units
}

/// The values of categories that few units have: the smallest categories, together at most `limit` units, where every
/// other category is at least four times as large as all of them together.
fn rare<'v, K: Hash + Eq>(
    values: &'v [Observed],
    limit: usize,
    category: impl Fn(&Observed) -> Option<K>,
) -> Option<Rare<'v>> {
    let mut counts: HashMap<K, usize> = HashMap::new();
    for value in values {
        if let Some(key) = category(value) {
            *counts.entry(key).or_default() += 1;
        }
    }
    if counts.len() < 2 {
        return None;
    }
    let mut sizes: Vec<usize> = counts.values().copied().collect();
    sizes.sort_unstable();
    // Values of a list count one by one, so a unit has at most 32 of them.
    let mut rare_total = 0;
    let mut largest_rare = 0;
    for size in sizes.iter().take(sizes.len() - 1) {
        if rare_total + size > limit * 32 {
            break;
        }
        rare_total += size;
        largest_rare = *size;
    }
    let smallest_common = sizes.iter().copied().find(|size| *size > largest_rare)?;
    if rare_total == 0 || smallest_common < 4 * rare_total {
        return None;
    }
    let is_rare = |value: &&Observed| {
        category(value).and_then(|key| counts.get(&key)).is_some_and(|count| *count <= largest_rare)
    };
    let rare_values: Vec<&Observed> = values.iter().filter(is_rare).collect();
    let units = distinct_units(rare_values.iter().copied());
    let counted = values.iter().filter(|value| category(value).is_some());
    let all_units = distinct_units(counted).len();
    (units.len() <= limit && units.len() < all_units).then_some(Rare { values: rare_values, units, all_units })
}

/// `1 other`, `99 others`.
fn others(number: usize) -> String {
    if number == 1 { "1 other".to_owned() } else { format!("{number} others") }
}

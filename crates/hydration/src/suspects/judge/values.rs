//! The values at one path: their types, nulls, lists, and the sets that they are of.

use std::collections::HashMap;

use crate::suspects::SuspectRule;
use crate::suspects::judge::class::is_type_key;
use crate::suspects::judge::{ClueTexts, Judge, Rare, distinct_units, others, rare, strong_limit, weak_limit};
use crate::suspects::log::{Topic, normal_key};
use crate::suspects::path::PathId;
use crate::suspects::profile::{Observed, ValueType};

const TYPE_BITS: f64 = 4.5;
const NULL_BITS: f64 = 2.5;
const EMPTY_LIST_BITS: f64 = 1.5;
const VERSION_BITS: f64 = 1.5;
const NEW_VALUE_BITS: f64 = 1.0;
const DUPLICATE_BITS: f64 = 1.5;
const LONG_LIST_BITS: f64 = 1.0;

/// The most values of a set, such as the states of an order.
const MAX_SET: usize = 12;

/// Ids that several records of a batch have by nature.
const SHARED_IDS: [&str; 22] = [
    "userid",
    "customerid",
    "deviceid",
    "sessionid",
    "accountid",
    "productid",
    "parentid",
    "correlationid",
    "traceid",
    "tenantid",
    "storeid",
    "merchantid",
    "clientid",
    "categoryid",
    "groupid",
    "orgid",
    "organizationid",
    "sensorid",
    "visitorid",
    "warehouseid",
    "sourceid",
    "anonymousid",
];

impl Judge<'_> {
    /// Judges the values at a path.
    pub(super) fn judge_values(&mut self, path: PathId) {
        let profile = self.profile;
        let values = profile.at(path);
        if values.len() < 2 {
            return;
        }
        self.judge_types(path, values);
        self.judge_nulls(path, values);
        self.judge_lists(path, values);
        self.judge_texts(path, values);
        self.judge_numbers(path, values);
        self.judge_sets(path, values);
        self.judge_ids(path, values);
    }

    fn judge_types(&mut self, path: PathId, values: &[Observed]) {
        let all = distinct_units(values.iter()).len();
        let category = |value: &Observed| (value.value_type != ValueType::Null).then_some(value.value_type);
        let Some(rare) = rare(values, strong_limit(all), category) else { return };
        let is_usual = |value: &&Observed| {
            value.value_type != ValueType::Null && !rare.values.iter().any(|rare| rare.value_type == value.value_type)
        };
        let Some(usual) = values.iter().find(is_usual) else { return };
        let weight = self.weight(TYPE_BITS, &[Topic::Type], Some(path));
        let name = self.name(path);
        let is_root = path == PathId::ROOT;
        let subject = if is_root { "the document".to_owned() } else { name };
        let claim = |value: &Observed| format!("{subject} is {}", value.value_type.words());
        let usual_text = format!("it is {} in {}", usual.value_type.words(), others(rare.others()));
        let rule = if is_root { SuspectRule::Encoding } else { SuspectRule::Type };
        let texts = ClueTexts { claim: &claim, quotes: true, usual: usual_text, like: Some(usual) };
        self.blame(rule, path, &rare, weight, &texts);
    }

    fn judge_nulls(&mut self, path: PathId, values: &[Observed]) {
        let all = distinct_units(values.iter()).len();
        let limit = if self.names_key_of(path) { strong_limit(all) } else { weak_limit(all) };
        let Some(rare) = rare(values, limit, |value| Some(value.value_type == ValueType::Null)) else { return };
        if rare.values.iter().any(|value| value.value_type != ValueType::Null) {
            return;
        }
        // Where the key is optional, null is one more way to leave the value out.
        let parent = self.profile.paths.parent(path);
        let objects = self.profile.at(parent).iter().filter(|value| value.value_type == ValueType::Object).count();
        let optional = if values.len() * 10 < objects * 9 { 3.0 } else { 0.0 };
        // So it is where several keys are missing here and there.
        let loose = (self.loose_keys.saturating_sub(1) as f64 * 0.5).min(2.5);
        let weight = self.weight(NULL_BITS - optional - loose, &[Topic::Absence], Some(path));
        let name = self.name(path);
        let usual = format!("{} have a value", others(rare.others()));
        let texts = ClueTexts { claim: &|_| format!("{name} is null"), quotes: false, usual, like: None };
        self.blame(SuspectRule::Null, path, &rare, weight, &texts);
    }

    fn judge_lists(&mut self, path: PathId, values: &[Observed]) {
        let lists: Vec<Observed> = values.iter().filter(|value| value.value_type == ValueType::List).copied().collect();
        let all = distinct_units(lists.iter()).len();
        let name = self.name(path);
        let is_line = path == PathId::ROOT && self.is_text_line(&lists);
        if is_line {
            if let Some(rare) = rare(&lists, strong_limit(all), |list| Some(list.length)) {
                let weight = self.weight(3.0, &[Topic::Json, Topic::Value], None);
                let usual = format!("{} have another number of them", others(rare.others()));
                let claim = |list: &Observed| format!("it has {} columns", list.length);
                let texts = ClueTexts { claim: &claim, quotes: false, usual, like: None };
                self.blame(SuspectRule::Encoding, path, &rare, weight, &texts);
            }
            return;
        }
        let empty = rare(&lists, weak_limit(all), |list| Some(list.length == 0));
        if let Some(rare) = empty.filter(|rare| rare.values.iter().all(|list| list.length == 0)) {
            let weight = self.weight(EMPTY_LIST_BITS, &[Topic::Absence], Some(path));
            let usual = format!("{} have elements", others(rare.others()));
            let texts = ClueTexts { claim: &|_| format!("{name} is an empty list"), quotes: false, usual, like: None };
            self.blame(SuspectRule::Size, path, &rare, weight, &texts);
        }
        let Some((longest, second)) = two_largest(&lists, |list| list.length) else { return };
        let is_size = self.log.is_about(Topic::Size);
        if longest.length >= 100 && longest.length / second.max(1) >= if is_size { 4 } else { 40 } {
            let rare = Rare { values: vec![longest], units: vec![longest.unit], all_units: all };
            let weight = self.weight(LONG_LIST_BITS, &[Topic::Size], Some(path));
            let usual = format!("{} have at most {second}", others(rare.others()));
            let claim = |list: &Observed| format!("{name} has {} elements", list.length);
            self.blame(
                SuspectRule::Size,
                path,
                &rare,
                weight,
                &ClueTexts { claim: &claim, quotes: false, usual, like: None },
            );
        }
    }

    fn is_text_line(&self, lists: &[Observed]) -> bool {
        use crate::suspects::content::ContentKind;
        lists.iter().any(|list| self.profile.unit(list.unit).is_some_and(|unit| unit.kind == ContentKind::Text))
    }

    /// Judges values of a small set: a state, a currency, a version of a schema.
    fn judge_sets(&mut self, path: PathId, values: &[Observed]) {
        let key = self.profile.paths.last_key(path).map(normal_key).unwrap_or_default();
        let is_version = key.contains("version") || key.contains("schema") || key == "v";
        let of_set = |value: &Observed| match value.value_type {
            ValueType::Text => Some(value.hash),
            ValueType::Number if is_version => Some(value.hash),
            _ => None,
        };
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for value in values {
            if let Some(hash) = of_set(value) {
                *counts.entry(hash).or_default() += 1;
            }
            if counts.len() > MAX_SET {
                return;
            }
        }
        let all = distinct_units(values.iter()).len();
        let Some(rare) = rare(values, weak_limit(all), of_set) else { return };
        let smallest_common =
            counts.values().copied().filter(|count| *count > rare.values.len()).min().unwrap_or_default();
        let is_hinted = self.names_key_of(path) || self.log.is_about(Topic::Value);
        let is_type = self.profile.paths.last_key(path).is_some_and(is_type_key);
        let bits = if is_version && counts.len() <= 3 {
            VERSION_BITS
        } else if is_hinted || (all >= 40 && counts.len() > 2 && smallest_common * 12 >= all && !is_type) {
            NEW_VALUE_BITS
        } else {
            return;
        };
        let like =
            values.iter().find(|value| of_set(value).is_some_and(|hash| rare.values.iter().all(|r| r.hash != hash)));
        let mut weight = self.weight(bits, &[Topic::Value], Some(path));
        // A version that the log does not speak of, on a key that says the type, is the first of a new type.
        if is_type && !is_hinted {
            weight.bits -= 3.0;
        }
        let name = self.name(path);
        let usual =
            format!("{} have one of {} values", others(rare.others()), counts.len().saturating_sub(rare.units.len()));
        let texts = ClueTexts { claim: &|_| name.clone(), quotes: true, usual, like };
        self.blame(SuspectRule::NewValue, path, &rare, weight, &texts);
    }

    /// Judges ids: one that two records have, where every other record has its own.
    fn judge_ids(&mut self, path: PathId, values: &[Observed]) {
        let key = self.profile.paths.last_key(path).map(normal_key).unwrap_or_default();
        let is_id = (key.ends_with("id") || key.ends_with("uuid")) && !SHARED_IDS.contains(&key.as_str());
        if !is_id || values.len() < 10 || !self.profile.paths.is_single(path) || !self.profile.paths.is_key(path) {
            return;
        }
        let mut first: HashMap<u64, &Observed> = HashMap::new();
        let mut pair = None;
        for value in values {
            let is_scalar = matches!(value.value_type, ValueType::Text | ValueType::Number);
            if !is_scalar {
                continue;
            }
            if let Some(earlier) = first.insert(value.hash, value)
                && pair.replace((earlier, value)).is_some()
            {
                return;
            }
        }
        let Some((earlier, later)) = pair else { return };
        let hash = |value: &Observed| self.profile.unit(value.unit).map(|unit| unit.hash);
        // A producer sends a record again when it is in doubt.
        let is_copy = hash(earlier) == hash(later);
        let bits = if is_copy { DUPLICATE_BITS - 2.5 } else { DUPLICATE_BITS };
        let name = self.name(path);
        let place = |value: &Observed| {
            let record = self.profile.unit(value.unit).and_then(|unit| unit.record);
            record.map_or("another batch".to_owned(), |record| format!("record {}", record + 1))
        };
        let usual = format!("{} have one of their own", others(values.len().saturating_sub(2)));
        for (value, other, bits) in [(later, earlier, bits), (earlier, later, bits - 1.5)] {
            let weight = self.weight(bits, &[Topic::Duplicate], None);
            let rare = Rare { values: vec![value], units: vec![value.unit], all_units: values.len() };
            let claim = |_: &Observed| format!("{name} is that of {} too", place(other));
            let texts = ClueTexts { claim: &claim, quotes: true, usual: usual.clone(), like: None };
            self.blame(SuspectRule::Duplicate, path, &rare, weight, &texts);
        }
    }
}

/// The value with the largest number, and the second largest number.
pub(super) fn two_largest(values: &[Observed], number: impl Fn(&Observed) -> u32) -> Option<(&Observed, u32)> {
    let largest = values.iter().max_by_key(|value| number(value))?;
    let others = values.iter().filter(|value| value.unit != largest.unit);
    Some((largest, others.map(number).max()?))
}

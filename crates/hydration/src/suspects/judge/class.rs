//! Classes of units: events of several types on one stream have keys of their own.

use std::collections::{HashMap, HashSet};

use crate::suspects::SuspectRule;
use crate::suspects::content::ContentKind;
use crate::suspects::log::normal_key;
use crate::suspects::path::PathId;
use crate::suspects::profile::{Profile, ValueType};

/// The most values of a key that says which type a unit has.
const MAX_CLASSES: usize = 24;
/// The most keys that are tried as the one that says the type, and the most keys that it must explain.
const MAX_TRIED: usize = 24;
/// Units that a class must have for its keys to be compared.
pub const MIN_CLASS: usize = 6;

/// The names of keys that say which type an event has.
const TYPE_KEYS: [&str; 21] = [
    "type",
    "kind",
    "event",
    "eventtype",
    "eventname",
    "action",
    "op",
    "operation",
    "messagetype",
    "recordtype",
    "detailtype",
    "command",
    "cmd",
    "subtype",
    "topic",
    "category",
    "class",
    "entity",
    "entitytype",
    "changetype",
    "method",
];

/// Returns true if a key of this name says which type an event has.
pub fn is_type_key(key: &str) -> bool {
    TYPE_KEYS.contains(&normal_key(key).as_str())
}

/// The class of each unit, and the units that are the only ones of their type.
#[derive(Debug, Default)]
pub struct Classes {
    /// One entry a unit. Without a key that says the type, all are in class 0.
    of_unit: Vec<u32>,
    sizes: Vec<usize>,
    first_of_type: HashSet<u32>,
}

impl Classes {
    pub fn of(profile: &Profile) -> Self {
        let mut classes = Self::by_type(profile).unwrap_or_else(|| Self {
            of_unit: vec![0; profile.units.len()],
            sizes: vec![profile.units.len()],
            first_of_type: HashSet::new(),
        });
        classes.first_of_type = first_of_type(profile);
        classes
    }

    pub fn class(&self, unit: u32) -> usize {
        self.of_unit.get(unit as usize).map_or(0, |class| *class as usize)
    }

    pub fn size(&self, class: usize) -> usize {
        self.sizes.get(class).copied().unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The bits to take off a unit that is the first of its type: it differs because of that.
    pub fn discount(&self, unit: u32, rule: SuspectRule) -> f64 {
        let is_first =
            self.first_of_type.contains(&unit) || (self.len() > 1 && self.size(self.class(unit)) < MIN_CLASS / 2);
        match rule {
            SuspectRule::MissingKey
            | SuspectRule::Type
            | SuspectRule::Null
            | SuspectRule::NewValue
            | SuspectRule::Number
                if is_first =>
            {
                5.0
            }
            _ => 0.0,
        }
    }

    /// The classes by the key that explains best which other keys a unit has.
    fn by_type(profile: &Profile) -> Option<Self> {
        let units = profile.units.len();
        if units < 2 * MIN_CLASS {
            return None;
        }
        let optional = optional_paths(profile);
        if optional.is_empty() {
            return None;
        }
        let candidates =
            profile.paths.ids().filter(|path| profile.paths.is_key(*path) && profile.paths.is_single(*path));
        let tried = candidates.filter_map(|path| Some((path, classes_by(profile, path)?)));
        // A name that says what it is comes first.
        let mut tried: Vec<(PathId, Self)> = tried.collect();
        tried.sort_by_key(|(path, _)| !profile.paths.last_key(*path).is_some_and(is_type_key));
        tried.truncate(MAX_TRIED);
        let explained = |classes: &Self| optional.iter().filter(|path| classes.explain(profile, **path)).count();
        let scored = tried.into_iter().map(|(_, classes)| (explained(&classes), classes));
        // The first of equals.
        let (score, classes) = scored.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        (score > 0).then_some(classes)
    }

    /// Returns true if almost all units of each class have the key, or almost none.
    fn explain(&self, profile: &Profile, path: PathId) -> bool {
        let mut present = vec![0_usize; self.len()];
        let mut last = None;
        for value in profile.at(path) {
            if last.replace(value.unit) != Some(value.unit)
                && let Some(present) = present.get_mut(self.class(value.unit))
            {
                *present += 1;
            }
        }
        let is_pure = |(class, present): (usize, &usize)| {
            let exceptions = (*present).min(self.size(class).saturating_sub(*present));
            exceptions <= (self.size(class) / 20).max(usize::from(self.size(class) >= MIN_CLASS))
        };
        // A class of one record explains anything.
        let has_class = |wanted: fn(usize, usize) -> bool| {
            present
                .iter()
                .enumerate()
                .any(|(class, present)| self.size(class) >= MIN_CLASS / 2 && wanted(*present * 2, self.size(class)))
        };
        let is_mixed = has_class(|twice, size| twice > size) && has_class(|twice, size| twice < size);
        is_mixed && present.iter().enumerate().all(is_pure)
    }
}

/// Keys that some units have and others have not.
fn optional_paths(profile: &Profile) -> Vec<PathId> {
    let units = profile.units.len();
    let is_optional = |path: &PathId| {
        let values = profile.at(*path).len();
        profile.paths.is_key(*path) && profile.paths.is_single(*path) && values * 50 > units && values * 50 < units * 49
    };
    profile.paths.ids().filter(is_optional).take(4 * MAX_TRIED).collect()
}

/// Classes by the text at a path, if almost every unit has one of a few there.
fn classes_by(profile: &Profile, path: PathId) -> Option<Classes> {
    let values = profile.at(path);
    let texts = values.iter().filter(|value| value.value_type == ValueType::Text);
    if texts.clone().count() * 20 < profile.units.len() * 19 {
        return None;
    }
    let mut numbers: HashMap<u64, u32> = HashMap::new();
    // Class 0 has the units without a text there.
    let mut of_unit = vec![0_u32; profile.units.len()];
    for value in texts {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let class = *numbers.entry(value.hash).or_insert(next);
        if numbers.len() > MAX_CLASSES {
            return None;
        }
        *of_unit.get_mut(value.unit as usize)? = class;
    }
    if numbers.len() < 2 || numbers.len() * 4 > profile.units.len() {
        return None;
    }
    let mut sizes = vec![0; numbers.len() + 1];
    for class in &of_unit {
        *sizes.get_mut(*class as usize)? += 1;
    }
    Some(Classes { of_unit, sizes, first_of_type: HashSet::new() })
}

/// Units that are the only ones with their value of a key that says the type.
fn first_of_type(profile: &Profile) -> HashSet<u32> {
    let mut first = HashSet::new();
    let is_change = profile.units.first().is_some_and(|unit| unit.kind == ContentKind::Change);
    for path in profile.paths.ids() {
        let is_type = profile.paths.is_key(path)
            && profile.paths.is_single(path)
            && profile.paths.last_key(path).is_some_and(is_type_key);
        if !is_type || is_change && profile.paths.name(path) != "eventName" {
            continue;
        }
        let mut counts: HashMap<u64, (usize, u32)> = HashMap::new();
        for value in profile.at(path).iter().filter(|value| value.value_type == ValueType::Text) {
            let entry = counts.entry(value.hash).or_insert((0, value.unit));
            entry.0 += 1;
        }
        if counts.len() <= MAX_CLASSES {
            first.extend(counts.values().filter(|(count, _)| *count == 1).map(|(_, unit)| *unit));
        }
    }
    first
}

//! The profile of a batch: its units, and the values at each path, without their texts.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::suspects::content::{ContentKind, UnitContent};
use crate::suspects::evidence::BatchEvidence;
use crate::suspects::form::{Marks, TextForm, TextKind, is_damaged};
use crate::suspects::path::{PathId, PathStep, Paths};
use crate::suspects::unit::{Decoder, MAX_UNITS, Unit, is_aggregate};
use crate::suspects::walk::{ValueSink, WalkedValue, walk};

/// The most values that a profile keeps.
pub const MAX_VALUES: usize = 1_000_000;
/// The most values of one unit at one path: elements of a list after that are not compared.
const MAX_VALUES_OF_UNIT: u32 = 32;

/// The type of a value, as records are compared by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    Null,
    Bool,
    Number,
    Text,
    Binary,
    List,
    Object,
    Set(&'static str),
}

impl ValueType {
    /// The type in words, with its article.
    pub fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Binary => "binary",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Set(kind) => kind,
        }
    }
}

/// A value of a unit, without its text.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    pub unit: u32,
    /// The number of the value among those of the unit at the path, from 0.
    pub ordinal: u32,
    pub value_type: ValueType,
    pub text_kind: TextKind,
    pub coarse_mask: u32,
    pub fine_mask: u32,
    /// Marks of a text.
    pub marks: Marks,
    /// Bytes of a text, elements of a list, keys of an object.
    pub length: u32,
    pub hash: u64,
    /// NaN where the value holds no number.
    pub number: f64,
}

/// A unit, without its content.
#[derive(Debug, Clone)]
pub struct ProfiledUnit {
    /// The index of its record in the evidence. `None` for background.
    pub record: Option<usize>,
    pub may_be_named: bool,
    pub in_aggregate: Option<usize>,
    pub kind: ContentKind,
    pub gzipped: bool,
    pub bytes: usize,
    pub depth: usize,
    pub is_damaged: bool,
    /// A number in it is out of every machine's range.
    pub has_huge_number: bool,
    pub first_byte: u8,
    pub hash: u64,
}

/// Values at one path.
#[derive(Debug, Default)]
pub struct PathValues {
    pub values: Vec<Observed>,
    last_unit: Option<u32>,
    in_last_unit: u32,
}

#[derive(Debug, Default)]
pub struct Profile {
    pub units: Vec<ProfiledUnit>,
    pub paths: Paths,
    /// One entry a path, by its id.
    pub values: Vec<PathValues>,
    /// The records that are aggregates, by their index in the evidence.
    pub aggregates: Vec<bool>,
    kept: usize,
}

impl Profile {
    pub fn of(evidence: &BatchEvidence, with_background: bool) -> Self {
        let mut profile = Self::default();
        let mut decoder = Decoder::new(evidence.is_deaggregated);
        for (index, record) in evidence.records.iter().enumerate() {
            profile.aggregates.push(is_aggregate(&record.record, evidence.is_deaggregated));
            decoder.visit(&record.record, |unit| profile.add(&unit, Some(index), record.may_be_named));
        }
        for record in evidence.background.iter().filter(|_| with_background) {
            decoder.visit(record, |unit| profile.add(&unit, None, false));
        }
        profile
    }

    pub fn at(&self, path: PathId) -> &[Observed] {
        self.values.get(path.index()).map(|values| values.values.as_slice()).unwrap_or_default()
    }

    pub fn unit(&self, unit: u32) -> Option<&ProfiledUnit> {
        self.units.get(unit as usize)
    }

    fn add(&mut self, unit: &Unit<'_>, record: Option<usize>, may_be_named: bool) {
        if self.units.len() == MAX_UNITS {
            return;
        }
        let number = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
        let mut sink = ProfileSink { profile: self, unit: number, path: vec![Some(PathId::ROOT)], depth: 0, hash: 0 };
        let is_walked = walk(&unit.content, &mut sink);
        let (depth, values_hash) = (sink.depth, sink.hash);
        let text = unit.content.text();
        let (bytes, first_byte) = match &unit.content {
            UnitContent::Binary(data) => (data.len(), data.first().copied().unwrap_or_default()),
            UnitContent::Change(_) => (unit.stored_bytes, 0),
            content => (content.bytes(), 0),
        };
        self.units.push(ProfiledUnit {
            record,
            may_be_named,
            in_aggregate: unit.in_aggregate,
            kind: unit.content.kind(),
            gzipped: unit.gzipped,
            bytes,
            depth,
            is_damaged: text.is_some_and(is_damaged),
            has_huge_number: !is_walked,
            first_byte,
            hash: text.map_or(values_hash, hash_of),
        });
    }

    fn keep(&mut self, path: PathId, mut value: Observed) {
        if self.values.len() < self.paths.len() {
            self.values.resize_with(self.paths.len(), PathValues::default);
        }
        let Some(at_path) = self.values.get_mut(path.index()) else { return };
        if at_path.last_unit != Some(value.unit) {
            (at_path.last_unit, at_path.in_last_unit) = (Some(value.unit), 0);
        }
        value.ordinal = at_path.in_last_unit;
        at_path.in_last_unit += 1;
        if value.ordinal < MAX_VALUES_OF_UNIT && self.kept < MAX_VALUES {
            self.kept += 1;
            at_path.values.push(value);
        }
    }
}

/// The hash of a text.
pub fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A walk that adds to the profile.
struct ProfileSink<'p> {
    profile: &'p mut Profile,
    unit: u32,
    /// The path so far. `None` from the step on that has no path of its own.
    path: Vec<Option<PathId>>,
    depth: usize,
    hash: u64,
}

impl ProfileSink<'_> {
    fn enter(&mut self, path: impl FnOnce(&mut Paths, PathId) -> Option<PathId>) {
        let parent = self.path.last().copied().flatten();
        self.path.push(parent.and_then(|parent| path(&mut self.profile.paths, parent)));
        self.depth = self.depth.max(self.path.len() - 1);
    }

    fn observe(&mut self, observed: Observed) {
        self.hash = self.hash.rotate_left(5) ^ observed.hash ^ observed.number.to_bits();
        if let Some(path) = self.path.last().copied().flatten() {
            self.profile.keep(path, observed);
        }
    }

    fn empty(&self, value_type: ValueType) -> Observed {
        Observed {
            unit: self.unit,
            ordinal: 0,
            value_type,
            text_kind: TextKind::Other,
            coarse_mask: 0,
            fine_mask: 0,
            marks: Marks::default(),
            length: 0,
            hash: 0,
            number: f64::NAN,
        }
    }
}

impl ValueSink for ProfileSink<'_> {
    fn key(&mut self, key: &str) {
        self.enter(|paths, parent| paths.key(parent, key));
    }

    fn element(&mut self) {
        self.enter(|paths, parent| paths.child(parent, PathStep::Element));
    }

    fn column(&mut self, number: u32) {
        self.enter(|paths, parent| paths.child(parent, PathStep::Column(number)));
    }

    fn leave(&mut self) {
        self.path.pop();
    }

    fn value(&mut self, value: WalkedValue<'_>) {
        let observed = match value {
            WalkedValue::Null => self.empty(ValueType::Null),
            WalkedValue::Bool(value) => Observed { hash: u64::from(value) + 1, ..self.empty(ValueType::Bool) },
            WalkedValue::Number(number) => Observed { number, hash: number.to_bits(), ..self.empty(ValueType::Number) },
            WalkedValue::NumberText(text) => {
                let number = text.parse().unwrap_or(f64::NAN);
                Observed { number, hash: hash_of(text), ..self.empty(ValueType::Number) }
            }
            WalkedValue::Binary(bytes) => Observed { length: length(bytes.len()), ..self.empty(ValueType::Binary) },
            WalkedValue::Set(kind) => self.empty(ValueType::Set(kind)),
            WalkedValue::Text(text) => {
                let form = TextForm::of(text);
                Observed {
                    text_kind: form.kind,
                    coarse_mask: form.coarse_mask,
                    fine_mask: form.fine_mask,
                    marks: form.marks,
                    length: length(text.len()),
                    hash: hash_of(text),
                    number: form.number.unwrap_or(f64::NAN),
                    ..self.empty(ValueType::Text)
                }
            }
        };
        self.observe(observed);
    }

    fn object(&mut self, keys: usize) {
        self.observe(Observed { length: length(keys), ..self.empty(ValueType::Object) });
    }

    fn list(&mut self, elements: usize) {
        self.observe(Observed { length: length(elements), ..self.empty(ValueType::List) });
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

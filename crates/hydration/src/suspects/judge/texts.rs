//! Texts at one path: their form, their characters, their length.

use crate::suspects::SuspectRule;
use crate::suspects::form::TextKind;
use crate::suspects::judge::values::two_largest;
use crate::suspects::judge::{ClueTexts, Judge, Rare, distinct_units, others, rare, strong_limit, weak_limit};
use crate::suspects::log::Topic;
use crate::suspects::path::PathId;
use crate::suspects::profile::{Observed, ValueType};

const KIND_BITS: f64 = 3.0;
const MASK_BITS: f64 = 2.0;
const CASE_BITS: f64 = 2.0;
const FIXED_LENGTH_BITS: f64 = 1.0;
const EMPTY_BITS: f64 = 2.5;
const DATE_BITS: f64 = 5.0;
const DAMAGED_BITS: f64 = 3.5;
const LONG_BITS: f64 = 1.0;

/// Returns true if the rare texts have small letters where the others have capitals only, or the other way.
fn differs_in_case(texts: &[Observed], rare: &Rare<'_>) -> bool {
    let is_rare = |text: &&Observed| rare.values.iter().any(|value| value.hash == text.hash);
    let common = || texts.iter().filter(|text| !is_rare(text));
    let have_no =
        |small: bool| common().all(|text| if small { !text.marks.has_small } else { !text.marks.has_capital });
    let all_rare = |wanted: fn(&Observed) -> bool| rare.values.iter().all(|text| wanted(text));
    have_no(true) && all_rare(|text| text.marks.has_small)
        || have_no(false) && all_rare(|text| text.marks.has_capital && !text.marks.has_small)
}

impl Judge<'_> {
    pub(super) fn judge_texts(&mut self, path: PathId, values: &[Observed]) {
        let texts: Vec<Observed> = values.iter().filter(|value| value.value_type == ValueType::Text).copied().collect();
        if texts.len() < 4 || texts.len() * 10 < values.len() * 8 {
            return;
        }
        self.judge_damage(path, &texts);
        self.judge_empty(path, &texts);
        self.judge_form(path, &texts);
        self.judge_length(path, &texts);
    }

    fn judge_damage(&mut self, path: PathId, texts: &[Observed]) {
        let all = distinct_units(texts.iter()).len();
        let Some(rare) = rare(texts, strong_limit(all), |text| Some(text.marks.is_damaged)) else { return };
        if rare.values.iter().all(|text| text.marks.is_damaged) {
            let weight = self.weight(DAMAGED_BITS, &[Topic::Characters], Some(path));
            let name = self.name(path);
            let usual = format!("{} have none", others(rare.others()));
            let claim = |_: &Observed| format!("{name} has control or damaged characters");
            self.blame(
                SuspectRule::Characters,
                path,
                &rare,
                weight,
                &ClueTexts { claim: &claim, quotes: true, usual, like: None },
            );
        }
    }

    fn judge_empty(&mut self, path: PathId, texts: &[Observed]) {
        let all = distinct_units(texts.iter()).len();
        let Some(rare) = rare(texts, weak_limit(all), |text| Some(text.text_kind == TextKind::Empty)) else { return };
        if rare.values.iter().all(|text| text.text_kind == TextKind::Empty) {
            let weight = self.weight(EMPTY_BITS, &[Topic::Absence], Some(path));
            let name = self.name(path);
            let usual = format!("{} have a text", others(rare.others()));
            let claim = |_: &Observed| format!("{name} is empty");
            self.blame(
                SuspectRule::Text,
                path,
                &rare,
                weight,
                &ClueTexts { claim: &claim, quotes: false, usual, like: None },
            );
        }
    }

    /// Judges the form by the finest of its measures that almost all texts agree in.
    fn judge_form(&mut self, path: PathId, texts: &[Observed]) {
        let texts: Vec<Observed> = texts.iter().filter(|text| text.text_kind != TextKind::Empty).copied().collect();
        let all = distinct_units(texts.iter()).len();
        let limit = strong_limit(all);
        let kind = |text: &Observed| match text.text_kind {
            TextKind::Integer => TextKind::Decimal,
            TextKind::ImpossibleDate => TextKind::Date,
            kind => kind,
        };
        self.judge_impossible_dates(path, &texts);
        if let Some(rare) = rare(&texts, limit, |text| Some(kind(text))) {
            let usual = texts.iter().find(|text| rare.values.iter().all(|value| kind(value) != kind(text)));
            let is_strict = usual.is_some_and(|usual| kind(usual) != TextKind::Other);
            // Among texts of no known kind, only JSON in a string and a word for no value are strange.
            let is_strange = |text: &&Observed| matches!(text.text_kind, TextKind::Json | TextKind::Nothing);
            if is_strict || rare.units.len() <= weak_limit(all) && rare.values.iter().all(is_strange) {
                let weight = self.weight(KIND_BITS, &[Topic::Date, Topic::Type, Topic::Value], Some(path));
                let claim = |text: &Observed| format!("is {}", text.text_kind.words());
                let words = usual.map_or("another text", |usual| kind(usual).words());
                return self.blame_form(path, &rare, weight, &claim, &format!("it is {words}"), usual);
            }
        }
        let has_mask = |text: &Observed| matches!(text.text_kind, TextKind::Other | TextKind::Date);
        if !texts.iter().all(has_mask) {
            return;
        }
        let distinct: std::collections::HashSet<u64> = texts.iter().map(|text| text.hash).take(10_000).collect();
        let is_set = distinct.len() <= 12;
        let is_mask = |rare: &Rare<'_>, mask: fn(&Observed) -> u32| {
            let mut common = texts.iter().filter(|text| rare.values.iter().all(|value| mask(value) != mask(text)));
            let first = common.next().map(mask);
            first.is_some() && common.all(|text| Some(mask(text)) == first)
        };
        if let Some(rare) = rare(&texts, limit, |text| Some(text.coarse_mask)) {
            let usual = texts.iter().find(|text| rare.values.iter().all(|value| value.coarse_mask != text.coarse_mask));
            let is_code = usual.is_some_and(|usual| usual.marks.has_digit && !usual.marks.has_space);
            let is_symbol = rare.values.iter().any(|text| text.marks.has_symbol);
            let is_case = is_set && rare.units.len() <= weak_limit(all) && differs_in_case(&texts, &rare);
            if is_mask(&rare, |text| text.coarse_mask) && (is_code || is_symbol) || is_case {
                let bits = if is_code { MASK_BITS } else { CASE_BITS };
                let weight = self.weight(bits, &[Topic::Value, Topic::Date], Some(path));
                return self.blame_form(path, &rare, weight, &|_| "has another form".to_owned(), "they differ", usual);
            }
        }
        if all >= 30
            && let Some(rare) = rare(&texts, weak_limit(all), |text| Some(text.fine_mask))
            && is_mask(&rare, |text| text.fine_mask)
        {
            let usual = texts.iter().find(|text| rare.values.iter().all(|value| value.fine_mask != text.fine_mask));
            if usual.is_some_and(|usual| usual.marks.has_digit) {
                let weight = self.weight(FIXED_LENGTH_BITS, &[Topic::Value], Some(path));
                self.blame_form(path, &rare, weight, &|_| "has another length".to_owned(), "they differ", usual);
            }
        }
    }

    fn blame_form(
        &mut self,
        path: PathId,
        rare: &Rare<'_>,
        weight: super::Weight,
        claim: &dyn Fn(&Observed) -> String,
        usual: &str,
        like: Option<&Observed>,
    ) {
        let name = self.name(path);
        let usual = match usual {
            "they differ" => format!("{} are alike", others(rare.others())),
            usual => format!("{usual} in {}", others(rare.others())),
        };
        let claim = |text: &Observed| format!("{name} {}", claim(text));
        self.blame(SuspectRule::Text, path, rare, weight, &ClueTexts { claim: &claim, quotes: true, usual, like });
    }

    fn judge_impossible_dates(&mut self, path: PathId, texts: &[Observed]) {
        let all = distinct_units(texts.iter()).len();
        let dates = |text: &Observed| match text.text_kind {
            TextKind::Date => Some(false),
            TextKind::ImpossibleDate => Some(true),
            _ => None,
        };
        let Some(rare) = rare(texts, strong_limit(all), dates) else { return };
        if rare.values.iter().all(|text| text.text_kind == TextKind::ImpossibleDate) {
            let weight = self.weight(DATE_BITS, &[Topic::Date], Some(path));
            let name = self.name(path);
            let usual = format!("{} have one that does", others(rare.others()));
            let claim = |_: &Observed| format!("{name} is a date that does not exist");
            self.blame(
                SuspectRule::Text,
                path,
                &rare,
                weight,
                &ClueTexts { claim: &claim, quotes: true, usual, like: None },
            );
        }
    }

    fn judge_length(&mut self, path: PathId, texts: &[Observed]) {
        let Some((longest, second)) = two_largest(texts, |text| text.length) else { return };
        let is_size = self.log.is_about(Topic::Size);
        let (least, ratio) = if is_size { (64, 2) } else { (500, 20) };
        if longest.length >= least && longest.length / second.max(1) >= ratio {
            let all = distinct_units(texts.iter()).len();
            let rare = Rare { values: vec![longest], units: vec![longest.unit], all_units: all };
            let weight = self.weight(LONG_BITS, &[Topic::Size], Some(path));
            let name = self.name(path);
            let usual = format!("{} have at most {second}", others(rare.others()));
            let claim = |text: &Observed| format!("{name} has {} bytes", text.length);
            let texts = ClueTexts { claim: &claim, quotes: false, usual, like: None };
            self.blame(SuspectRule::Size, path, &rare, weight, &texts);
        }
    }
}

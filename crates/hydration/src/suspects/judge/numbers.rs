//! Numbers at one path, and numbers and times in texts.

use crate::suspects::SuspectRule;
use crate::suspects::form::TextKind;
use crate::suspects::judge::{ClueTexts, Judge, Rare, distinct_units, others};
use crate::suspects::log::Topic;
use crate::suspects::path::PathId;
use crate::suspects::profile::Observed;

const RANGE_BITS: f64 = 1.5;
const NEGATIVE_BITS: f64 = 2.0;
/// Units that it takes to know a range.
const MIN_UNITS: usize = 8;
const YEAR_SECONDS: f64 = 365.0 * 86_400.0;

/// The range of numbers.
#[derive(Debug, Clone, Copy)]
struct NumberRange {
    least: f64,
    most: f64,
}

impl Judge<'_> {
    pub(super) fn judge_numbers(&mut self, path: PathId, values: &[Observed]) {
        let numbers: Vec<Observed> = values.iter().filter(|value| value.number.is_finite()).copied().collect();
        let all = distinct_units(numbers.iter()).len();
        if all < MIN_UNITS || numbers.len() * 10 < values.len() * 8 {
            return;
        }
        let are_times = numbers.iter().all(|value| value.text_kind == TextKind::Date);
        let by_number = |a: &&Observed, b: &&Observed| a.number.total_cmp(&b.number);
        let (Some(least), Some(most)) = (numbers.iter().min_by(by_number), numbers.iter().max_by(by_number)) else {
            return;
        };
        for extreme in [least, most] {
            let rest = numbers.iter().filter(|value| value.unit != extreme.unit).map(|value| value.number);
            let range = rest.fold(NumberRange { least: f64::INFINITY, most: f64::NEG_INFINITY }, |range, number| {
                NumberRange { least: range.least.min(number), most: range.most.max(number) }
            });
            self.judge_extreme(path, extreme, range, all, are_times);
        }
    }

    fn judge_extreme(&mut self, path: PathId, extreme: &Observed, range: NumberRange, all: usize, are_times: bool) {
        let number = extreme.number;
        if (range.least..=range.most).contains(&number) {
            return;
        }
        let is_hinted = self.names_key_of(path) && self.log.is_about(Topic::Number);
        let is_negative = number < 0.0 && range.least >= 0.0;
        let bits = if are_times {
            let distance = (range.least - number).max(number - range.most);
            (distance > (10.0 * (range.most - range.least)).max(YEAR_SECONDS)).then_some(RANGE_BITS + 1.0)
        } else if is_negative {
            is_far_below_zero(number, range).then_some(NEGATIVE_BITS)
        } else {
            // Zero is usual, unless the error is of a division or a minimum.
            let is_zero = number == 0.0 && range.least > 0.0 && self.log.is_about(Topic::Number);
            orders_outside(number, range).map(|orders| RANGE_BITS + orders.min(3.0)).or(is_zero.then_some(RANGE_BITS))
        };
        let Some(bits) = bits.or(is_hinted.then_some(RANGE_BITS)) else { return };
        let rare = Rare { values: vec![extreme], units: vec![extreme.unit], all_units: all };
        let weight = self.weight(bits, &[if are_times { Topic::Date } else { Topic::Number }], Some(path));
        let name = self.name(path);
        let claim = |_: &Observed| format!("{name} is far outside the range of the others");
        let negative = |_: &Observed| format!("{name} is negative");
        let claim: &dyn Fn(&Observed) -> String = if is_negative { &negative } else { &claim };
        let usual = if are_times {
            format!("{} are close together", others(rare.others()))
        } else {
            format!("{} are between {} and {}", others(rare.others()), range.least, range.most)
        };
        self.blame(SuspectRule::Number, path, &rare, weight, &ClueTexts { claim, quotes: true, usual, like: None });
    }
}

/// Returns true for a negative number that is no small step below the others. Where they are spread around zero, the
/// least may be negative by chance.
fn is_far_below_zero(number: f64, range: NumberRange) -> bool {
    let spread = range.most - range.least;
    let is_whole = number.fract() == 0.0 && range.least.fract() == 0.0 && range.most.fract() == 0.0;
    // Quantities of one to five, and then -3.
    (is_whole && range.least >= 1.0 && spread < 1000.0) || -number > spread
}

/// The orders of magnitude from the number to the range, if they are more than one and more than the range has itself.
fn orders_outside(number: f64, range: NumberRange) -> Option<f64> {
    if number == 0.0 || range.least.is_sign_negative() && range.least < 0.0 && number > 0.0 {
        // Signed numbers: the largest of them without its sign counts.
        let most = range.most.abs().max(range.least.abs());
        let orders = (number.abs() / most.max(f64::MIN_POSITIVE)).log10();
        return (number != 0.0 && most > 0.0 && orders >= 2.0).then_some(orders);
    }
    if number < 0.0 {
        let most = range.most.abs().max(range.least.abs());
        let orders = (-number / most.max(f64::MIN_POSITIVE)).log10();
        return (most > 0.0 && orders >= 2.0).then_some(orders);
    }
    let least = if range.least > 0.0 { range.least } else { (range.most / 100.0).min(1.0) };
    if range.most <= 0.0 {
        return None;
    }
    let spread = (range.most / least).log10();
    let orders = if number > range.most { (number / range.most).log10() } else { (least / number).log10() };
    if range.least == range.most {
        return (orders >= 1.5).then_some(orders);
    }
    // Evenly spread numbers have one near zero now and then.
    if number < range.least && range.least - number < range.most - range.least {
        return None;
    }
    // Times in milliseconds, serial numbers: a narrow range says more.
    let is_narrow = spread < 0.01;
    let is_outside = orders >= (spread * 0.9).max(1.0) || (is_narrow && orders > 0.05 && orders > 100.0 * spread);
    is_outside.then_some(orders)
}

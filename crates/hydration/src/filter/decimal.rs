//! Decimal numbers, exact.

/// A JSON number: `0.DIGITS × 10^exponent`. Equal numbers have equal fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// Without zeros at either end. Empty for zero.
    digits: String,
    exponent: i64,
}

/// The range and the precision that numeric matching is documented for: ±5.0e9, 15 digits, 6 of them after the point
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>).
const MAX_MILLIONTHS: i64 = 5_000_000_000_000_000;
const MAX_DIGITS: usize = 15;
const PLACES: i64 = 6;

impl Decimal {
    /// `None` if the text is not a JSON number, or its exponent is out of all bounds.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = all.trim_start_matches('0');
        let leading_zeros = i64::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        let exponent = i64::from(exponent) + i64::try_from(whole.len()).ok()? - leading_zeros;
        Some(Self { is_negative, digits, exponent })
    }

    /// The number in millionths. `None` if it is outside the documented range or precision.
    pub fn millionths(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = self.exponent + PLACES - i64::try_from(self.digits.len()).ok()?;
        if self.digits.len() > MAX_DIGITS || !(0..=18).contains(&zeros) {
            return None;
        }
        let scale = 10_i64.checked_pow(u32::try_from(zeros).ok()?)?;
        let millionths = self.digits.parse::<i64>().ok()?.checked_mul(scale)?;
        let signed = if self.is_negative { -millionths } else { millionths };
        (millionths <= MAX_MILLIONTHS).then_some(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (left, right) in
            [("300", "300.0"), ("300", "3.0e2"), ("0", "-0.0"), ("0.003", "3e-3"), ("-10", "-1E+1"), ("0.5", "5e-1")]
        {
            assert_eq!(Decimal::parse(left), Decimal::parse(right), "{left} {right}");
        }
        for (left, right) in [("300", "30"), ("1", "-1"), ("12345678901234567", "12345678901234568"), ("1e30", "1e31")]
        {
            assert_ne!(Decimal::parse(left), Decimal::parse(right), "{left} {right}");
        }
    }

    #[test]
    fn what_is_compared_is_within_the_documented_range() {
        let millionths = |text| Decimal::parse(text).and_then(|number| number.millionths());
        for (text, expected) in [
            ("1", Some(1_000_000)),
            ("-0.000001", Some(-1)),
            ("5e9", Some(5_000_000_000_000_000)),
            ("5000000000.000001", None),
            ("5000000001", None),
            ("0.0000001", None),
            ("123456789.1234567", None),
            ("1e400", None),
            ("0e400", Some(0)),
        ] {
            assert_eq!(millionths(text), expected, "{text}");
        }
    }
}

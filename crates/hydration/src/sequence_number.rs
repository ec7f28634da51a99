//! The position of a record in its shard.

use std::cmp::Ordering;
use std::fmt;

/// A stream's sequence number: a decimal string of up to 129 digits, without leading zeros.
///
/// Kinesis documents the pattern `0|([1-9]\d{0,128})`
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Record.html>) and writes 56 digits: no machine
/// integer is large enough. Without leading zeros, the order of (length, bytes) is the numeric order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Box<str>);

/// The longest sequence number that Kinesis documents, in digits.
pub const MAX_SEQUENCE_NUMBER_DIGITS: usize = 129;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sequence number is 1 to {MAX_SEQUENCE_NUMBER_DIGITS} decimal digits without a leading zero")]
pub struct InvalidSequenceNumber;

impl SequenceNumber {
    pub fn parse(text: &str) -> Result<Self, InvalidSequenceNumber> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = text.len() > 1 && text.starts_with('0');
        if text.is_empty() || text.len() > MAX_SEQUENCE_NUMBER_DIGITS || !digits || leading_zero {
            return Err(InvalidSequenceNumber);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), self.0.as_bytes()).cmp(&(other.0.len(), other.0.as_bytes()))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> SequenceNumber {
        SequenceNumber::parse(text).unwrap()
    }

    #[test]
    fn order_is_numeric_whatever_the_length() {
        assert!(number("9") < number("10"));
        assert!(
            number("99999999999999999999999999999999999999999") < number("100000000000000000000000000000000000000000")
        );
        assert!(
            number("49647238774018758449143791361301066723689190929215782914")
                < number("49647238774018758449143791361304693501148036740885250050")
        );
    }

    #[test]
    fn text_that_is_not_a_decimal_number_is_refused() {
        for text in ["", "01", "-1", "1.5", "1e9", " 1", "٣", &"9".repeat(130)] {
            assert_eq!(SequenceNumber::parse(text), Err(InvalidSequenceNumber), "{text}");
        }
        assert!(SequenceNumber::parse(&"9".repeat(129)).is_ok());
        assert!(SequenceNumber::parse("0").is_ok());
    }
}

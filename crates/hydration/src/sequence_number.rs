//! The position of a record in its shard.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A stream's sequence number: a decimal string of up to 129 digits.
///
/// Kinesis documents the pattern `0|([1-9]\d{0,128})`
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Record.html>) and writes 56 digits: no machine
/// integer is large enough. DynamoDB Local writes leading zeros, `000000000000000000001`.
///
/// Two sequence numbers are equal if they are the same number: `0004` is `4`. The order and the hash follow the same
/// rule. The text keeps its leading zeros, because the service must get it back as it was written.
#[derive(Clone)]
pub struct SequenceNumber {
    text: Box<str>,
    leading_zeros: u8,
}

/// The longest sequence number that Kinesis documents, in digits. Leading zeros count.
pub const MAX_SEQUENCE_NUMBER_DIGITS: usize = 129;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sequence number is 1 to {MAX_SEQUENCE_NUMBER_DIGITS} decimal digits")]
pub struct InvalidSequenceNumber;

impl SequenceNumber {
    pub fn parse(text: &str) -> Result<Self, InvalidSequenceNumber> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if text.is_empty() || text.len() > MAX_SEQUENCE_NUMBER_DIGITS || !is_number {
            return Err(InvalidSequenceNumber);
        }
        let leading_zeros = text.bytes().take_while(|byte| *byte == b'0').count();
        let leading_zeros = u8::try_from(leading_zeros).map_err(|_| InvalidSequenceNumber)?;
        Ok(Self { text: text.into(), leading_zeros })
    }

    /// The text as the service wrote it, with its leading zeros.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true for a text like `0004`. Zero itself, `0`, has none.
    pub fn has_leading_zeros(&self) -> bool {
        self.leading_zeros > 0 && self.text.len() > 1
    }

    /// The digits without leading zeros. They are empty for zero.
    fn significant_digits(&self) -> &[u8] {
        self.text.as_bytes().get(usize::from(self.leading_zeros)..).unwrap_or_default()
    }
}

impl Ord for SequenceNumber {
    /// Without leading zeros, the order of (length, bytes) is the numeric order.
    fn cmp(&self, other: &Self) -> Ordering {
        let (digits, others) = (self.significant_digits(), other.significant_digits());
        (digits.len(), digits).cmp(&(others.len(), others))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.significant_digits() == other.significant_digits()
    }
}

impl Eq for SequenceNumber {}

impl Hash for SequenceNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.significant_digits().hash(state);
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

    fn hash(number: &SequenceNumber) -> u64 {
        HASHER.hash_one(number)
    }

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
        for text in ["", "-1", "1.5", "1e9", " 1", "٣", &"9".repeat(130), &"0".repeat(130)] {
            assert_eq!(SequenceNumber::parse(text), Err(InvalidSequenceNumber), "{text}");
        }
        assert!(SequenceNumber::parse(&"9".repeat(129)).is_ok());
        assert!(SequenceNumber::parse("0").is_ok());
    }

    #[test]
    fn leading_zeros_are_kept_and_do_not_count() {
        for text in ["000000000000000000001", "0004", "0", "00", &"0".repeat(129)] {
            assert_eq!(number(text).as_str(), text);
            assert_eq!(number(text).to_string(), text);
        }
        assert_eq!(number("0004"), number("4"));
        assert_eq!(number("0"), number("000"));
        assert_ne!(number("40"), number("4"));
        assert!(number("0009") < number("10"));
        assert!(number("000000000000000000002") > number("000000000000000000001"));
        let texts = ["0", "00", "1", "10", "01"];
        assert_eq!(texts.map(|text| number(text).has_leading_zeros()), [false, true, false, false, true]);
    }

    proptest! {
        #[test]
        fn order_equality_and_hash_are_those_of_the_numbers(
            left in any::<u128>(),
            right in any::<u128>(),
            is_same in any::<bool>(),
            zeros in (0_usize..90, 0_usize..90),
        ) {
            let right = if is_same { left } else { right };
            let padded = |value: u128, zeros: usize| number(&format!("{}{value}", "0".repeat(zeros)));
            let (one, other) = (padded(left, zeros.0), padded(right, zeros.1));
            prop_assert_eq!(one.cmp(&other), left.cmp(&right));
            prop_assert_eq!(one == other, left == right);
            if left == right {
                prop_assert_eq!(hash(&one), hash(&other));
            }
        }
    }
}

//! Records of a batch that were chosen on the command line: `1-57,59-`, by place or by sequence number.

use hydration::sequence_number::SequenceNumber;

/// Ranges of records, each end included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<RecordRange>);

/// A range; `None` is the batch's own end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordRange {
    text: String,
    first: Option<SequenceNumber>,
    last: Option<SequenceNumber>,
}

pub fn parse_selection(text: &str) -> Result<Selection, String> {
    let wrong = || "give numbers and ranges of records, as in 1-57,59-".to_owned();
    let end = |text: &str| match text {
        "" => Ok(None),
        text => SequenceNumber::parse(text).map(Some).map_err(|_| wrong()),
    };
    let range = |text: &str| {
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (end(first)?, end(last)?),
            None => (end(text)?, end(text)?),
        };
        let is_empty = first.is_none() && last.is_none();
        if is_empty { Err(wrong()) } else { Ok(RecordRange { text: text.to_owned(), first, last }) }
    };
    text.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>().map(Selection)
}

impl Selection {
    /// One answer a record: whether it was chosen. `numbers` are the sequence numbers of the batch.
    ///
    /// A number up to the count of records is a place, from 1, as `dlq show` prints it. A larger one is a sequence
    /// number, and must be one of the batch's. So is one with leading zeros: no place is written that way.
    pub fn of(&self, numbers: &[SequenceNumber]) -> Result<Vec<bool>, String> {
        let mut chosen = vec![false; numbers.len()];
        for range in &self.0 {
            let first = range.first.as_ref().map_or(Ok(0), |number| first_place(number, numbers))?;
            let end = match &range.last {
                Some(number) => last_place(number, numbers)? + 1,
                None => numbers.len(),
            };
            let places = chosen.get_mut(first..end).filter(|places| !places.is_empty());
            places.ok_or_else(|| format!("the range {} of records is empty", range.text))?.fill(true);
        }
        Ok(chosen)
    }
}

fn first_place(number: &SequenceNumber, numbers: &[SequenceNumber]) -> Result<usize, String> {
    let found = || numbers.iter().position(|own| own == number);
    place(number, numbers.len()).or_else(found).ok_or_else(|| no_such_record(number, numbers.len()))
}

fn last_place(number: &SequenceNumber, numbers: &[SequenceNumber]) -> Result<usize, String> {
    let found = || numbers.iter().rposition(|own| own == number);
    place(number, numbers.len()).or_else(found).ok_or_else(|| no_such_record(number, numbers.len()))
}

/// The index of a record that is given by its place.
fn place(number: &SequenceNumber, records: usize) -> Option<usize> {
    if number.has_leading_zeros() {
        return None;
    }
    let place = number.as_str().parse::<usize>().ok().filter(|place| (1..=records).contains(place))?;
    Some(place - 1)
}

fn no_such_record(number: &SequenceNumber, records: usize) -> String {
    let hint = if number.has_leading_zeros() { "; a number with leading zeros is a sequence number" } else { "" };
    format!("the batch has no record {number}: its records are 1 to {records}, or give a sequence number of it{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Result<String, String> {
        let numbers = ["1000", "1001", "1001", "1005", "1009"].map(|number| SequenceNumber::parse(number).unwrap());
        let chosen = parse_selection(text)?.of(&numbers)?;
        Ok(chosen.into_iter().map(|chosen| if chosen { 'x' } else { '.' }).collect())
    }

    #[test]
    fn places_and_sequence_numbers_and_open_ranges() {
        for (text, expected) in [
            ("1", "x...."),
            ("2-3,5", ".xx.x"),
            ("4-", "...xx"),
            ("-2", "xx..."),
            ("1-3, 5-", "xxx.x"),
            ("1001", ".xx.."),
            ("1001-1005", ".xxx."),
            ("2-1009", ".xxxx"),
        ] {
            assert_eq!(chosen(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_in_the_batch_is_refused() {
        for text in ["", "-", "a", "1,,2", "1;2", "0", "6", "1002", "3-2", "1-0"] {
            assert!(chosen(text).is_err(), "{text}");
        }
        assert!(chosen("6").unwrap_err().contains("1 to 5"));
    }

    #[test]
    fn a_number_with_leading_zeros_is_a_sequence_number_and_no_place() {
        assert_eq!(chosen("0001001").as_deref(), Ok(".xx.."));
        assert!(chosen("0002").unwrap_err().contains("leading zeros"));
        let numbers = ["0000004", "0000005", "0000009"].map(|number| SequenceNumber::parse(number).unwrap());
        let chosen = |text: &str| parse_selection(text).unwrap().of(&numbers);
        for (text, expected) in [
            ("0000005", [false, true, false]),
            ("0005-", [false, true, true]),
            ("4", [true, false, false]),
            ("3", [false, false, true]),
        ] {
            assert_eq!(chosen(text).unwrap(), expected, "{text}");
        }
        assert!(chosen("0003").is_err());
    }
}

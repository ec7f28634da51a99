//! Records of a batch by their sequence numbers: which were run, and which have succeeded.

use hydration::sequence_number::SequenceNumber;
use serde::{Deserialize, Serialize};

/// Records that follow each other in a batch: the first, the last, and their count.
///
/// The count tells a later reader whether its copy of the batch holds records in between that were never run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SpanJson", into = "SpanJson")]
pub struct Span {
    pub first: SequenceNumber,
    pub last: SequenceNumber,
    pub records: u64,
}

/// A span as it is written in JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpanJson {
    first: String,
    last: String,
    records: u64,
}

impl TryFrom<SpanJson> for Span {
    type Error = &'static str;

    fn try_from(written: SpanJson) -> Result<Self, Self::Error> {
        let number = |text: &str| SequenceNumber::parse(text).map_err(|_| "a sequence number is not one");
        let span = Self { first: number(&written.first)?, last: number(&written.last)?, records: written.records };
        if span.records == 0 || span.last < span.first {
            return Err("a range of records is empty");
        }
        Ok(span)
    }
}

impl From<Span> for SpanJson {
    fn from(span: Span) -> Self {
        Self { first: span.first.as_str().to_owned(), last: span.last.as_str().to_owned(), records: span.records }
    }
}

/// A choice that cannot be written down: the records of an aggregate share one sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "records {first} and {second} share one sequence number (they come from one aggregated record): choose both or \
     neither"
)]
pub struct SharedNumber {
    /// Places in the batch, from 1.
    pub first: usize,
    pub second: usize,
}

/// The chosen records of a batch. `numbers` are all of its records, in the shard's order.
pub fn spans(numbers: &[SequenceNumber], is_chosen: impl Fn(usize) -> bool) -> Result<Vec<Span>, SharedNumber> {
    let mut spans: Vec<Span> = Vec::new();
    let mut previous: Option<(&SequenceNumber, bool)> = None;
    for (index, number) in numbers.iter().enumerate() {
        let chosen = is_chosen(index);
        match previous {
            Some((before, was_chosen)) if before == number && was_chosen != chosen => {
                return Err(SharedNumber { first: index, second: index + 1 });
            }
            Some((_, true)) if chosen => {
                if let Some(span) = spans.last_mut() {
                    span.last = number.clone();
                    span.records += 1;
                }
            }
            _ if chosen => spans.push(Span { first: number.clone(), last: number.clone(), records: 1 }),
            _ => {}
        }
        previous = Some((number, chosen));
    }
    Ok(spans)
}

pub fn count(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.records).sum()
}

pub fn overlap(some: &[Span], others: &[Span]) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.first <= other.last && other.first <= one.last))
}

/// One answer a record: whether it has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    Known(Vec<bool>),
    /// This copy of the batch holds more records within a range than were run of it.
    MoreThanWereRun,
}

pub fn coverage(done: &[Span], numbers: &[SequenceNumber]) -> Coverage {
    let mut covered = vec![false; numbers.len()];
    for span in done {
        let mut within = 0;
        for (number, covered) in numbers.iter().zip(&mut covered) {
            if (&span.first..=&span.last).contains(&number) {
                within += 1;
                *covered = true;
            }
        }
        if within > span.records {
            return Coverage::MoreThanWereRun;
        }
    }
    Coverage::Known(covered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<SequenceNumber> {
        numbers.into_iter().map(|number| SequenceNumber::parse(&number.to_string()).unwrap()).collect()
    }

    #[test]
    fn all_but_one_record_are_two_spans() {
        let numbers = numbers([10, 20, 30, 40]);
        let spans = spans(&numbers, |index| index != 1).unwrap();
        assert_eq!(spans.iter().map(|span| span.records).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(coverage(&spans, &numbers), Coverage::Known(vec![true, false, true, true]));
    }

    #[test]
    fn records_that_share_a_number_are_chosen_together() {
        let numbers = numbers([10, 20, 20, 30]);
        assert_eq!(spans(&numbers, |index| index != 2), Err(SharedNumber { first: 2, second: 3 }));
        assert!(spans(&numbers, |index| index == 1 || index == 2).is_ok());
    }

    #[test]
    fn a_copy_with_more_records_than_were_run_is_noticed() {
        let done = spans(&numbers([1, 3]), |_| true).unwrap();
        assert_eq!(coverage(&done, &numbers([1, 2, 3])), Coverage::MoreThanWereRun);
        assert_eq!(coverage(&done, &numbers([3, 5])), Coverage::Known(vec![true, false]));
    }

    #[test]
    fn an_empty_or_reversed_range_is_not_read() {
        for text in [
            r#"{"first":"2","last":"1","records":1}"#,
            r#"{"first":"1","last":"2","records":0}"#,
            r#"{"first":"x","last":"2","records":1}"#,
            r#"{"first":"1","last":"2","records":1,"data":"x"}"#,
        ] {
            assert!(serde_json::from_str::<Span>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_what_is_covered(chosen in prop::collection::vec(any::<bool>(), 1..30)) {
            let numbers = numbers((0..chosen.len() as u64).map(|index| index * 7 + 1));
            let spans = spans(&numbers, |index| chosen[index]).unwrap();
            prop_assert_eq!(count(&spans), chosen.iter().filter(|chosen| **chosen).count() as u64);
            let written = serde_json::to_string(&spans).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Vec<Span>>(&written).unwrap(), &spans);
            prop_assert_eq!(coverage(&spans, &numbers), Coverage::Known(chosen));
        }
    }
}

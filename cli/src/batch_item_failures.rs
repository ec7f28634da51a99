//! `batchItemFailures` in a function's answer, read as Lambda reads it for a stream.

use hydration::json::Object;
use hydration::sequence_number::SequenceNumber;

/// The number of records, from the first on, that have succeeded. An answer without `batchItemFailures` means all.
///
/// Of the failures named, the one with the lowest sequence number counts: it and everything after it remain. An answer
/// that names no record of the event means that nothing has succeeded
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>).
pub fn succeeded_count(answer: &[u8], records: &[SequenceNumber]) -> usize {
    let all = records.len();
    let Some(answer) = str::from_utf8(answer).ok().and_then(|text| Object::from_str(text).ok()) else { return all };
    let Some(failures) = answer.get("batchItemFailures").filter(|raw| raw.get() != "null") else { return all };
    let Ok(failures) = serde_json::from_str::<Vec<Object>>(failures.get()) else { return 0 };
    let places = failures.iter().map(|failure| {
        let number = failure.string("itemIdentifier").and_then(|text| SequenceNumber::parse(&text).ok())?;
        records.iter().position(|record| *record == number)
    });
    // An identifier that is missing or unknown means that the whole batch has failed.
    places.map(|place| place.unwrap_or(0)).min().unwrap_or(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_failure_counts_as_it_does_for_lambda() {
        let records: Vec<_> = ["5", "6", "6", "10"].map(|text| SequenceNumber::parse(text).unwrap()).into();
        for (answer, expected) in [
            ("", 4),
            ("null", 4),
            ("\"done\"", 4),
            ("{}", 4),
            (r#"{"batchItemFailures":null}"#, 4),
            (r#"{"batchItemFailures":[]}"#, 4),
            (r#"{"batchItemFailures":[{"itemIdentifier":"10"}]}"#, 3),
            (r#"{"batchItemFailures":[{"itemIdentifier":"10"},{"itemIdentifier":"6"}]}"#, 1),
            (r#"{"batchItemFailures":[{"itemIdentifier":"5"}]}"#, 0),
            (r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#, 0),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, 0),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, 0),
            (r#"{"batchItemFailures":[{"id":"10"}]}"#, 0),
            (r#"{"batchItemFailures":"10"}"#, 0),
        ] {
            assert_eq!(succeeded_count(answer.as_bytes(), &records), expected, "{answer}");
        }
    }
}

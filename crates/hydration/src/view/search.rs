//! A search in the content of a record, as the view shows it.

use crate::json::plain_text;
use crate::kpl;
use crate::record::{KinesisRecord, StreamRecord};
use crate::view::{Budget, Decoded, MAX_UNPACKED_BYTES, decode, write_dynamodb};

/// Outcome of a search in one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundInRecord {
    Yes,
    No,
    /// Not in the texts of the record, and some of its data is no text: it is binary, or too large to unpack.
    NotInTexts,
}

/// Searches the texts of a record, each by itself, until one matches: partition keys, and data as the view has it. A
/// JSON value and a DynamoDB change are one line of [plain text](plain_text), so that an escape does not hide a word.
/// Binary data of a Kinesis record has no text; bytes in a DynamoDB item are base64.
///
/// With `is_deaggregated`, data that looks like an aggregate is not opened, as for the view.
pub fn search_record(record: &StreamRecord, is_deaggregated: bool, is_match: &impl Fn(&str) -> bool) -> FoundInRecord {
    match record {
        StreamRecord::DynamoDb(change) => {
            let mut view = String::new();
            write_dynamodb(change, &mut view);
            if is_match(&plain_text(&view)) { FoundInRecord::Yes } else { FoundInRecord::No }
        }
        StreamRecord::Kinesis(record) => search_kinesis(record, is_deaggregated, is_match),
    }
}

fn search_kinesis(record: &KinesisRecord, is_deaggregated: bool, is_match: &impl Fn(&str) -> bool) -> FoundInRecord {
    if is_match(&record.partition_key) {
        return FoundInRecord::Yes;
    }
    let mut budget = Budget::default();
    let aggregate = if is_deaggregated { None } else { kpl::deaggregate(&record.data) };
    let Some(user_records) = aggregate else { return search_data(&record.data, &mut budget, is_match).0 };
    // Many user records may share one long key: the limit is that of the view.
    let limit = record.data.len().saturating_add(MAX_UNPACKED_BYTES);
    let (mut searched, mut found) = (0_usize, FoundInRecord::No);
    for user_record in user_records {
        if searched > limit {
            return FoundInRecord::NotInTexts;
        }
        if is_match(user_record.partition_key) {
            return FoundInRecord::Yes;
        }
        let (in_data, bytes) = search_data(user_record.data, &mut budget, is_match);
        match in_data {
            FoundInRecord::Yes => return FoundInRecord::Yes,
            FoundInRecord::NotInTexts => found = FoundInRecord::NotInTexts,
            FoundInRecord::No => {}
        }
        searched = searched.saturating_add(user_record.partition_key.len()).saturating_add(bytes);
    }
    found
}

/// Searches the data of a record or of a user record. Returns the number of bytes that were searched, too.
fn search_data(data: &[u8], budget: &mut Budget, is_match: &impl Fn(&str) -> bool) -> (FoundInRecord, usize) {
    let (is_found, bytes) = match decode(data, budget) {
        Decoded::Json { text, .. } => (is_match(&plain_text(&text)), text.len()),
        Decoded::Text { text, .. } => (is_match(&text), text.len()),
        Decoded::Binary { .. } | Decoded::Aggregate(_) => return (FoundInRecord::NotInTexts, 0),
    };
    (if is_found { FoundInRecord::Yes } else { FoundInRecord::No }, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpl::tests::aggregate;
    use crate::record::AttributeValue;
    use crate::record::dynamodb::tests::{change, item};
    use crate::sequence_number::SequenceNumber;
    use crate::test_support::gzip;

    fn kinesis(data: &[u8]) -> StreamRecord {
        StreamRecord::Kinesis(KinesisRecord {
            sequence_number: SequenceNumber::parse("4711").unwrap(),
            partition_key: "customer-7".to_owned(),
            data: data.to_vec(),
            approximate_arrival: None,
        })
    }

    fn search(record: &StreamRecord, text: &str) -> FoundInRecord {
        search_record(record, false, &|searched| searched.contains(text))
    }

    #[test]
    fn keys_and_decoded_values_are_found() {
        use FoundInRecord::{No, NotInTexts, Yes};
        let json = kinesis(br#"{ "name" : "M\u00fcller", "n" : 12345678901234567890.10 }"#);
        let packed = kinesis(&gzip(br#"{"order":4711}"#));
        let of_library = kinesis(&aggregate(&[("a-1", b"text"), ("a-2", &gzip(br#"{"order":4711}"#)), ("b", &[0xFF])]));
        for (record, text, expected) in [
            (&json, "Müller", Yes),
            (&json, r#"{"name":"Müller","n":12345678901234567890.10}"#, Yes),
            (&json, "customer-7", Yes),
            // The sequence number is no content.
            (&json, "4711", No),
            (&packed, r#""order":4711"#, Yes),
            (&packed, "4712", No),
            (&of_library, "a-2", Yes),
            (&of_library, r#""order":4711"#, Yes),
            (&of_library, "4712", NotInTexts),
            (&kinesis(b"grue\"zi"), r#"grue"zi"#, Yes),
            (&kinesis(&[0xFF, b'a']), "a", NotInTexts),
            (&kinesis(&[0xFF, b'a']), "binary", NotInTexts),
            (&kinesis(&[0xFF, b'a']), "customer", Yes),
        ] {
            assert_eq!(search(record, text), expected, "{text}");
        }
        let closed = search_record(&of_library, true, &|searched| searched.contains("a-2"));
        assert_eq!(closed, NotInTexts);
    }

    #[test]
    fn a_change_is_searched_as_plain_json() {
        let mut change = change();
        change.old_image = Some(item("Customer Name", AttributeValue::S("a \"b\"\n".into())));
        let record = StreamRecord::DynamoDb(Box::new(change));
        for text in [r#""keys":{"id":"o-1"}"#, r#""total":12.50"#, "Customer Name", "a \"b\"\n", "MODIFY"] {
            assert_eq!(search(&record, text), FoundInRecord::Yes, "{text}");
        }
        assert_eq!(search(&record, r#""S""#), FoundInRecord::No);
    }

    #[test]
    fn a_decompression_bomb_is_not_searched_for_ever() {
        let packed = gzip(&vec![b'a'; 6 * 1024 * 1024]);
        let searched = std::cell::Cell::new(0_usize);
        let count = |text: &str| {
            searched.set(searched.get() + text.len());
            false
        };
        let many = aggregate(&vec![("key", packed.as_slice()); 50]);
        assert_eq!(search_record(&kinesis(&many), false, &count), FoundInRecord::NotInTexts);
        let long_key = "k".repeat(256);
        let shared = aggregate(&vec![(long_key.as_str(), b"".as_slice()); 100_000]);
        assert_eq!(search_record(&kinesis(&shared), false, &count), FoundInRecord::NotInTexts);
        assert!(searched.get() < 3 * MAX_UNPACKED_BYTES, "{}", searched.get());
    }
}

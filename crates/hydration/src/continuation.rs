//! The rest of a batch whose first parts were delivered before an invocation failed.
//!
//! A range that takes longer than one invocation would start again with every retry, and send its parts again.
//! Instead, the invocation record goes to the retry queue with one more key: the position up to which the parts were
//! delivered. The state is in the message, so SQS may deliver a continuation twice, but no record is skipped.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::invocation_record::Range;
use crate::json::{self, Object};
use crate::sequence_number::SequenceNumber;

/// The key that is added to the invocation record. It never reaches a hydrated message.
pub const KEY: &str = "hydrationContinuation";
const VERSION: u8 = 1;
/// More than any range can have. Larger counts are corrupt, and additions to them could overflow.
const MAX_PARTS: u32 = 1 << 30;
const MAX_RECOVERED_RECORDS: u64 = 1 << 60;

/// The position up to which the parts of a range were delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The last stream record whose event records are all in a delivered part. The next invocation reads it again, to
    /// find out if records after it were trimmed.
    pub after: SequenceNumber,
    /// Number of parts delivered so far.
    pub parts: u32,
    /// Number of event records up to `after`, which is included.
    pub recovered_records: u64,
    /// The range was read from its first record on, without a gap.
    pub from_start: bool,
    /// `s3://bucket/key`, if the invocation record was read from an object.
    pub object: Option<String>,
}

#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContinuationJson {
    version: u8,
    after: String,
    parts: u32,
    recovered_records: u64,
    from_start: bool,
    object: Option<String>,
}

impl Continuation {
    /// Reads the continuation in an invocation record. One outside the range, or with impossible counts, is ignored: the
    /// range is then read from its start, which repeats parts and loses none.
    pub fn from_fields(fields: &Object, range: Option<&Range>) -> Option<Self> {
        let json: ContinuationJson = serde_json::from_str(fields.get(KEY)?.get()).ok()?;
        let after = SequenceNumber::parse(&json.after).ok()?;
        let is_inside = range.is_some_and(|range| range.contains(&after) && after < range.end);
        let is_plausible = (1..=MAX_PARTS).contains(&json.parts) && json.recovered_records <= MAX_RECOVERED_RECORDS;
        (is_inside && is_plausible && json.version == VERSION).then_some(Self {
            after,
            parts: json.parts,
            recovered_records: json.recovered_records,
            from_start: json.from_start,
            object: json.object,
        })
    }

    /// The body for the retry queue: the invocation record with this continuation. Its payload is left out, because it
    /// holds less than the stream.
    pub fn body(&self, fields: &Object) -> String {
        let json = ContinuationJson {
            version: VERSION,
            after: self.after.as_str().to_owned(),
            parts: self.parts,
            recovered_records: self.recovered_records,
            from_start: self.from_start,
            object: self.object.clone(),
        };
        let mut body = String::from("{");
        for (key, value) in fields.iter().filter(|(key, _)| *key != "payload" && *key != KEY) {
            json::write_string(key, &mut body);
            body.push(':');
            body.push_str(value.get());
            body.push(',');
        }
        // A struct of strings and numbers always serialises.
        let continuation = json::sqs_safe(serde_json::to_string(&json).unwrap_or_default());
        body.push_str(&format!("\"{KEY}\":{continuation}}}"));
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> SequenceNumber {
        SequenceNumber::parse(text).unwrap()
    }

    fn range() -> Range {
        Range { start: number("100"), end: number("200") }
    }

    fn continuation(after: &str) -> Continuation {
        Continuation { after: number(after), parts: 3, recovered_records: 42, from_start: true, object: None }
    }

    #[test]
    fn a_continuation_is_read_as_it_was_written() {
        let fields = Object::from_str(r#"{"a": 1.10, "payload": "x", "b":"é"}"#).unwrap();
        let body = continuation("150").body(&fields);
        assert!(body.starts_with(r#"{"a":1.10,"b":"é","#), "{body}");
        let fields = Object::from_str(&body).unwrap();
        assert_eq!(Continuation::from_fields(&fields, Some(&range())), Some(continuation("150")));
        // The object has the notification's place in the bucket, and the record itself has no such field.
        let object = Some("s3://failed-batches/a b+\u{FFFF}".to_owned());
        let from_object = Continuation { object, ..continuation("150") };
        let text = from_object.body(&fields);
        assert!(json::is_sqs_safe(&text), "{text}");
        assert_eq!(Continuation::from_fields(&Object::from_str(&text).unwrap(), Some(&range())), Some(from_object));
        // A second continuation replaces the first.
        let body = continuation("160").body(&fields);
        assert_eq!(body.matches(KEY).count(), 1);
    }

    #[test]
    fn a_continuation_that_does_not_fit_the_range_is_ignored() {
        for after in ["99", "200", "201"] {
            let fields = Object::from_str(&continuation(after).body(&Object::default())).unwrap();
            assert_eq!(Continuation::from_fields(&fields, Some(&range())), None, "{after}");
            assert_eq!(Continuation::from_fields(&fields, None), None);
        }
        let corrupt = [(u32::MAX, 42), (0, 42), (3, u64::MAX), (3, 1 << 63)];
        for (parts, recovered_records) in corrupt {
            let continuation = Continuation { parts, recovered_records, ..continuation("150") };
            let fields = Object::from_str(&continuation.body(&Object::default())).unwrap();
            assert_eq!(Continuation::from_fields(&fields, Some(&range())), None, "{continuation:?}");
        }
        for text in [r#"{"hydrationContinuation":null}"#, r#"{"hydrationContinuation":{"after":"150"}}"#, "{}"] {
            assert_eq!(Continuation::from_fields(&Object::from_str(text).unwrap(), Some(&range())), None, "{text}");
        }
    }
}

//! The rest of a batch whose first parts were delivered before an invocation failed.
//!
//! A range longer than one invocation would start over with every try, and send its parts again each time. Instead, the
//! invocation record goes to the retry queue with one more key, which says where the delivered parts end. The state
//! travels with the message: a leg may be delivered twice, but none can be skipped.

use serde::{Deserialize, Serialize};

use crate::invocation_record::Range;
use crate::json::{self, Object};
use crate::sequence_number::SequenceNumber;

/// The key beside those of the invocation record. It never reaches a hydrated message.
pub const KEY: &str = "hydrationContinuation";
const VERSION: u8 = 1;

/// The place where the delivered parts of a range end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The last stored record of which every event is in a delivered part. The next leg reads it once more, to see
    /// that nothing was trimmed in between.
    pub after: SequenceNumber,
    /// Parts delivered so far.
    pub parts: u32,
    /// Event records up to `after`, that one included.
    pub recovered_records: u64,
    /// Whether the range was read from its first record on, without a gap.
    pub from_start: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    version: u8,
    after: String,
    parts: u32,
    recovered_records: u64,
    from_start: bool,
}

impl Continuation {
    /// Reads the continuation of an invocation record. One that is not of the range is ignored: the range is then read
    /// from its start, which repeats parts and loses nothing.
    pub fn read(fields: &Object, range: Option<&Range>) -> Option<Self> {
        let wire: Wire = serde_json::from_str(fields.get(KEY)?.get()).ok()?;
        let after = SequenceNumber::parse(&wire.after).ok()?;
        let is_inside = range.is_some_and(|range| range.contains(&after) && after < range.end);
        (is_inside && wire.version == VERSION && wire.parts > 0).then_some(Self {
            after,
            parts: wire.parts,
            recovered_records: wire.recovered_records,
            from_start: wire.from_start,
        })
    }

    /// The body for the retry queue: the invocation record with this continuation. The payload is left out, as it is
    /// in a hydrated message: it was found to hold less than the stream.
    pub fn body(&self, fields: &Object) -> String {
        let wire = Wire {
            version: VERSION,
            after: self.after.as_str().to_owned(),
            parts: self.parts,
            recovered_records: self.recovered_records,
            from_start: self.from_start,
        };
        let mut body = String::from("{");
        for (key, value) in fields.iter().filter(|(key, _)| *key != "payload" && *key != KEY) {
            json::write_string(key, &mut body);
            body.push(':');
            body.push_str(value.get());
            body.push(',');
        }
        // A struct of strings and numbers cannot fail to serialise.
        let continuation = serde_json::to_string(&wire).unwrap_or_default();
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
        Continuation { after: number(after), parts: 3, recovered_records: 42, from_start: true }
    }

    #[test]
    fn a_continuation_comes_back_as_it_went() {
        let fields = Object::from_str(r#"{"a": 1.10, "payload": "x", "b":"é"}"#).unwrap();
        let body = continuation("150").body(&fields);
        assert!(body.starts_with(r#"{"a":1.10,"b":"é","#), "{body}");
        let fields = Object::from_str(&body).unwrap();
        assert_eq!(Continuation::read(&fields, Some(&range())), Some(continuation("150")));
        // A second leg replaces the first one's key.
        let body = continuation("160").body(&fields);
        assert_eq!(body.matches(KEY).count(), 1);
    }

    #[test]
    fn a_continuation_outside_the_range_is_ignored() {
        for after in ["99", "200", "201"] {
            let fields = Object::from_str(&continuation(after).body(&Object::default())).unwrap();
            assert_eq!(Continuation::read(&fields, Some(&range())), None, "{after}");
            assert_eq!(Continuation::read(&fields, None), None);
        }
        for text in [r#"{"hydrationContinuation":null}"#, r#"{"hydrationContinuation":{"after":"150"}}"#, "{}"] {
            assert_eq!(Continuation::read(&Object::from_str(text).unwrap(), Some(&range())), None, "{text}");
        }
    }
}

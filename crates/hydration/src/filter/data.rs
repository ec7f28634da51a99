//! The data of a Kinesis record, as filters see it.
//!
//! Lambda decodes it and matches it as JSON. With a pattern for it, data that is not JSON fails. Without one, it does
//! not matter (<https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html>).

use serde_json::value::RawValue;

use crate::filter::{Answer, Pattern};
use crate::{json, kpl};

/// The answer of a pattern whose root is the data.
///
/// An aggregate is `Unknown`, unless Lambda has taken it apart: filters on aggregates are documented for enhanced
/// fan-out only.
pub fn answer(pattern: &Pattern, data: &[u8], deaggregated: bool) -> Answer {
    if !deaggregated && kpl::deaggregate(data).is_some() {
        return Answer::Unknown;
    }
    let text = str::from_utf8(data).ok().and_then(json::sound_value);
    match (text, shape(data)) {
        (Some(text), Shape::Object) => {
            serde_json::from_str::<&RawValue>(text).map_or(Answer::Unknown, |value| pattern.answer(value))
        }
        // An array may be matched like the objects in it, or count as no JSON.
        (Some(text), Shape::Array) => {
            let answer = serde_json::from_str::<&RawValue>(text).map_or(Answer::Unknown, |value| pattern.answer(value));
            answer.min(Answer::Unknown)
        }
        // A lenient parser may read what ours refuses.
        (None, Shape::Object | Shape::Array) => Answer::Unknown,
        // Without fields to match, or no JSON at all: it fails unless the pattern wants fields to be absent.
        (_, Shape::Scalar) => pattern.answer_without_fields().min(Answer::Unknown),
        (_, Shape::NotJson) => Answer::Fails,
    }
}

/// The kind of JSON that data may be, for any parser.
#[derive(Clone, Copy)]
enum Shape {
    Object,
    Array,
    Scalar,
    NotJson,
}

fn shape(data: &[u8]) -> Shape {
    match data.iter().find(|byte| !byte.is_ascii_whitespace()) {
        // Comments, byte order marks and the zeros of UTF-16: some parsers read on.
        Some(b'{' | b'/' | b'#' | 0xEF | 0xFE | 0xFF | 0) => Shape::Object,
        Some(b'[') => Shape::Array,
        Some(b'"' | b'\'' | b'+' | b'-' | b'.' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I') => Shape::Scalar,
        _ => Shape::NotJson,
    }
}

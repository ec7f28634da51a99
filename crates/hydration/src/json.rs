//! JSON as text. Values are checked and copied, never parsed and printed again, so that every digit stays.

mod plain;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use plain::plain_text;

/// The deepest nesting of a sound value. serde_json stops at 128 levels, and the message around the value needs a few.
pub const MAX_NESTING_LEVELS: usize = 100;

/// The most entries of an object, and the most elements of an array of event records. A batch has up to 10,000 records
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>). Larger ones are refused,
/// because each entry takes many times the memory of its text.
pub const MAX_ENTRIES: usize = 100_000;

/// Returns true if every parser can read the text: it is one JSON value of at most [`MAX_NESTING_LEVELS`] levels, and
/// its `\u` escapes form whole characters. A lone surrogate is valid syntax
/// (<https://www.rfc-editor.org/rfc/rfc8259#section-8.2>), but many parsers refuse the document.
pub fn is_sound(text: &str) -> bool {
    sound_value(text).is_some()
}

/// The JSON value in the text, without the white space around it. `None` if it is not [sound](is_sound).
pub fn sound_value(text: &str) -> Option<&str> {
    // serde_json checks the syntax of a `RawValue` without recursion, and keeps one byte for each level.
    let value = serde_json::from_str::<&RawValue>(text).ok()?.get();
    is_shallow_and_whole(value.as_bytes()).then_some(value)
}

/// Checks nesting and escapes in text whose syntax is valid.
fn is_shallow_and_whole(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => match after_escape(after) {
                Some(next) => rest = next,
                None => return false,
            },
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > MAX_NESTING_LEVELS {
                    return false;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// The text after an escape whose backslash was just read. A pair of surrogates is one escape; a lone one is `None`.
fn after_escape(escape: &[u8]) -> Option<&[u8]> {
    let (&kind, rest) = escape.split_first()?;
    if kind != b'u' {
        return Some(rest);
    }
    let (unit, rest) = code_unit(rest)?;
    match unit {
        0xD800..=0xDBFF => {
            let (low, rest) = code_unit(rest.strip_prefix(br"\u")?)?;
            (0xDC00..=0xDFFF).contains(&low).then_some(rest)
        }
        0xDC00..=0xDFFF => None,
        _ => Some(rest),
    }
}

fn code_unit(digits: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = digits.split_at_checked(4)?;
    let unit = u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    Some((unit, rest))
}

/// Returns true if the text is a JSON number, with nothing around it.
pub fn is_number(text: &str) -> bool {
    let starts_like_one = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let ends_like_one = text.ends_with(|last: char| last.is_ascii_digit());
    starts_like_one && ends_like_one && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Appends the text as a JSON string, safe for SQS. There is no copy in between: a text may have 10 MiB, and six times
/// as much when it is escaped.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some((plain, character, after)) = next_escape(rest) {
        out.push_str(plain);
        match character {
            '"' => out.push_str(r#"\""#),
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            other => out.push_str(&format!(r"\u{:04x}", u32::from(other))),
        }
        rest = after;
    }
    out.push_str(rest);
    out.push('"');
}

/// The bytes of the text that [`write_string`] appends.
pub fn string_length(text: &str) -> usize {
    let escaped = text.chars().map(|character| match character {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        other if needs_escape(other) => 6,
        other => other.len_utf8(),
    });
    escaped.sum::<usize>() + r#""""#.len()
}

fn next_escape(text: &str) -> Option<(&str, char, &str)> {
    let (plain, rest) = text.split_at(text.find(needs_escape)?);
    let mut characters = rest.chars();
    Some((plain, characters.next()?, characters.as_str()))
}

fn needs_escape(character: char) -> bool {
    character < ' ' || matches!(character, '"' | '\\' | '\u{FFFE}' | '\u{FFFF}')
}

/// Escapes the two characters that JSON allows and SQS refuses, U+FFFE and U+FFFF
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>). JSON allows
/// them only inside strings, where the escape means the same.
pub fn sqs_safe(json: String) -> String {
    if is_sqs_safe(&json) {
        return json;
    }
    json.replace('\u{FFFE}', r"\ufffe").replace('\u{FFFF}', r"\uffff")
}

/// Returns true if there is nothing to escape. Both characters begin with a byte that is rare in text, and a search for
/// one byte is many times faster.
pub fn is_sqs_safe(json: &str) -> bool {
    !json.as_bytes().contains(&0xEF) || !json.contains(['\u{FFFE}', '\u{FFFF}'])
}

/// Replaces the line breaks in the text of a JSON value with spaces, in place. They are all between tokens: inside a
/// string JSON allows only escaped ones (<https://www.rfc-editor.org/rfc/rfc8259#section-7>).
pub fn join_lines(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The text of a JSON string. `None` for any other value.
pub fn string_value(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The elements of an array. `None` if it is no array, or one of more than [`MAX_ENTRIES`] elements.
pub fn elements(text: &str) -> Option<Vec<&RawValue>> {
    struct Elements;

    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = array.next_element()? {
                if elements.len() == MAX_ENTRIES {
                    return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }

    let mut parser = serde_json::Deserializer::from_str(text);
    let elements = parser.deserialize_seq(Elements).ok()?;
    parser.end().ok().map(|()| elements)
}

/// A JSON object. Its values keep their text, and its keys their order, including repeated keys.
#[derive(Debug, Clone)]
pub struct Object<V = Box<RawValue>>(Vec<(String, V)>);

/// An object whose values are not copied out of the text. An object of 16 MB must not be in memory twice.
pub type BorrowedObject<'a> = Object<&'a RawValue>;

impl<V> Default for Object<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a> BorrowedObject<'a> {
    pub fn borrow_from(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The entries, in order, repeated keys included.
    pub fn entries(&self) -> &[(String, &'a RawValue)] {
        &self.0
    }

    /// The value of a key, as long as the text lives. A repeated key has its last value, as in most parsers.
    pub fn value(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// A copy without one key. Characters that SQS refuses are escaped in its values.
    pub fn to_owned_without(&self, key: &str) -> Object {
        let copy = |value: &RawValue| {
            if is_sqs_safe(value.get()) {
                return value.to_owned();
            }
            // An escape in place of a character leaves the syntax valid.
            RawValue::from_string(sqs_safe(value.get().to_owned())).unwrap_or_else(|_| value.to_owned())
        };
        let entries = self.0.iter().filter(|(name, _)| name != key);
        Object(entries.map(|(name, value)| (name.clone(), copy(value))).collect())
    }
}

impl Object {
    #[expect(clippy::should_implement_trait, reason = "callers should not need to import a trait")]
    pub fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The entries up to a key, which is included, and the keys after it. The text may be cut off anywhere: then the
    /// result has the entries and keys that are there.
    pub fn split_after(text: &str, last: &str) -> (Self, Vec<String>) {
        struct Split<'a> {
            last: &'a str,
            entries: &'a mut Vec<(String, Box<RawValue>)>,
            later_keys: &'a mut Vec<String>,
        }

        impl<'de> Visitor<'de> for Split<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(entry) = map.next_entry::<String, _>()? {
                    let is_last = entry.0 == self.last;
                    self.entries.push(entry);
                    if is_last {
                        break;
                    }
                }
                while let Some(key) = map.next_key()? {
                    self.later_keys.push(key);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(())
            }
        }

        let (mut entries, mut later_keys) = (Vec::new(), Vec::new());
        let split = Split { last, entries: &mut entries, later_keys: &mut later_keys };
        // The error only says where the text is cut off.
        let _ = serde_json::Deserializer::from_str(text).deserialize_map(split);
        (Self(entries), later_keys)
    }
}

impl<V: Borrow<RawValue>> Object<V> {
    /// The value of a key. A repeated key has its last value, as in most parsers.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.borrow())
    }

    /// The value of a key, if it is a string.
    pub fn string(&self, key: &str) -> Option<String> {
        self.get(key).and_then(string_value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.borrow()))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Object<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Object<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if entries.len() == MAX_ENTRIES {
                        return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
                    }
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests;

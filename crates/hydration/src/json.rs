//! JSON as text: what is passed on is passed on digit for digit, so it is judged and copied, never rebuilt.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting that counts as sound. Parsers give up at 128 (serde_json) or later, and the message around the
/// value needs a few levels itself.
pub const MAX_NESTING: usize = 100;

/// Whether every parser can read the text: it is one JSON value, nested at most [`MAX_NESTING`] levels deep, and its
/// `\u` escapes form whole characters. A lone surrogate is good syntax (<https://www.rfc-editor.org/rfc/rfc8259#section-8.2>),
/// yet many parsers refuse the whole document for it.
pub fn is_sound(text: &str) -> bool {
    sound_value(text).is_some()
}

/// The JSON value that the text holds, without the white space around it; `None` when it is not [sound](is_sound).
pub fn sound_value(text: &str) -> Option<&str> {
    // This checks the syntax without recursion and keeps one byte per level.
    let value = serde_json::from_str::<&RawValue>(text).ok()?.get();
    is_shallow_and_whole(value.as_bytes()).then_some(value)
}

/// One pass over text whose syntax is known to be good.
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
                if depth > MAX_NESTING {
                    return false;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// What follows the escape whose backslash was just read, a pair of surrogates being one; `None` for a lone one.
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

/// Whether the text follows JSON's grammar for numbers, with nothing around it.
pub fn is_number(text: &str) -> bool {
    let starts_like_one = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let ends_like_one = text.ends_with(|last: char| last.is_ascii_digit());
    starts_like_one && ends_like_one && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Appends the text as a JSON string, safe for SQS. Nothing is copied in between: a text may have 10 MiB, and six
/// times that when it is escaped.
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

/// Bytes of what [`write_string`] appends.
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
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>). In JSON text they
/// stand only inside strings, where the escape means the same.
pub fn sqs_safe(json: String) -> String {
    if is_sqs_safe(&json) {
        return json;
    }
    json.replace('\u{FFFE}', r"\ufffe").replace('\u{FFFF}', r"\uffff")
}

/// Whether there is nothing to escape. Both characters begin with a byte that hardly any text has, and one byte is
/// found many times faster than a character.
pub fn is_sqs_safe(json: &str) -> bool {
    !json.as_bytes().contains(&0xEF) || !json.contains(['\u{FFFE}', '\u{FFFF}'])
}

/// The text that a JSON string stands for; `None` for any other value.
pub fn string_value(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A JSON object whose values keep their text and whose keys keep their order, repeated ones included.
#[derive(Debug, Clone, Default)]
pub struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    #[expect(clippy::should_implement_trait, reason = "callers should not need to import a trait")]
    pub fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The entries up to a key, that one included; all there are when the text breaks off or ends before it.
    pub fn until(text: &str, last: &str) -> Self {
        struct Until<'a>(&'a str, &'a mut Vec<(String, Box<RawValue>)>);

        impl<'de> Visitor<'de> for Until<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(entry) = map.next_entry::<String, _>()? {
                    let is_last = entry.0 == self.0;
                    self.1.push(entry);
                    if is_last {
                        break;
                    }
                }
                Ok(())
            }
        }

        let mut entries = Vec::new();
        // What follows is of no interest, whether it is there or not.
        let _ = serde_json::Deserializer::from_str(text).deserialize_map(Until(last, &mut entries));
        Self(entries)
    }

    /// The value of a key; of a repeated key the last, as most parsers have it.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// The value of a key, if it is a string.
    pub fn string(&self, key: &str) -> Option<String> {
        self.get(key).and_then(string_value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests;

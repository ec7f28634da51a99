//! The content of a unit.

use std::borrow::Cow;

use crate::record::DynamoDbRecord;

/// Decoded content.
#[derive(Debug)]
pub enum UnitContent<'a> {
    Empty,
    Json(Cow<'a, str>),
    /// Text that begins as JSON does, and that is none.
    BrokenJson(Cow<'a, str>),
    Text(Cow<'a, str>),
    Binary(&'a [u8]),
    Change(&'a DynamoDbRecord),
}

/// The kind of a content, which most records of a stream share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentKind {
    Empty,
    Json,
    BrokenJson,
    Text,
    Binary,
    Change,
}

impl<'a> UnitContent<'a> {
    /// The content of text that is not JSON.
    pub fn of_text(text: Cow<'a, str>) -> Self {
        let start = text.trim_start_matches(|first: char| first.is_whitespace() || first == '\u{FEFF}');
        if start.is_empty() {
            Self::Empty
        } else if start.starts_with("{\"")
            || start.starts_with("[{")
            || start.starts_with("{\n")
            || start.starts_with("{ ")
        {
            Self::BrokenJson(text)
        } else {
            Self::Text(text)
        }
    }

    pub fn kind(&self) -> ContentKind {
        match self {
            Self::Empty => ContentKind::Empty,
            Self::Json(_) => ContentKind::Json,
            Self::BrokenJson(_) => ContentKind::BrokenJson,
            Self::Text(_) => ContentKind::Text,
            Self::Binary(_) => ContentKind::Binary,
            Self::Change(_) => ContentKind::Change,
        }
    }

    /// The bytes after unpacking.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Empty | Self::Change(_) => 0,
            Self::Json(text) | Self::BrokenJson(text) | Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Json(text) | Self::BrokenJson(text) | Self::Text(text) => Some(text),
            Self::Empty | Self::Binary(_) | Self::Change(_) => None,
        }
    }

    /// The reason why text that begins as JSON is none.
    pub fn json_fault(&self) -> Option<&'static str> {
        let Self::BrokenJson(text) = self else { return None };
        Some(match serde_json::from_str::<&serde_json::value::RawValue>(text) {
            Err(error) if error.is_eof() => "is JSON that is cut off",
            Err(_) => "begins as JSON and is not valid JSON",
            Ok(_) => "is JSON that many parsers refuse: nested too deep, or with half a character",
        })
    }
}

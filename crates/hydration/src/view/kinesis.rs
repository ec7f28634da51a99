//! What the data of a Kinesis record is: an aggregate, JSON, text, or bytes; the latter three perhaps gzipped.

use std::borrow::Cow;

use crate::json;
use crate::kpl::{self, UserRecord};
use crate::view::UNPACKING_LIMIT;
use crate::view::gzip::gunzip;

/// The first that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// Of the Kinesis Producer Library; each record is read with [`decode_user_record`].
    Aggregate(Vec<UserRecord<'a>>),
    /// One [sound](json::is_sound) JSON value, its text untouched.
    Json {
        text: Cow<'a, str>,
        gzipped: bool,
    },
    Text {
        text: Cow<'a, str>,
        gzipped: bool,
    },
    /// Neither; so many bytes are stored.
    Binary {
        bytes: usize,
    },
}

/// Reads the data of a record as it lies in the stream.
pub fn decode_kinesis(data: &[u8]) -> Decoded<'_> {
    kpl::deaggregate(data).map_or_else(|| decode_user_record(data), Decoded::Aggregate)
}

/// Reads the data of a record that was taken out of an aggregate: one inside it is not opened again.
pub fn decode_user_record(data: &[u8]) -> Decoded<'_> {
    let mut allowance = UNPACKING_LIMIT;
    decode(data, &mut allowance)
}

fn decode<'a>(data: &'a [u8], allowance: &mut usize) -> Decoded<'a> {
    let gunzipped = gunzip(data, allowance);
    let gzipped = gunzipped.is_some();
    let text = match gunzipped {
        Some(unpacked) => String::from_utf8(unpacked).ok().map(Cow::Owned),
        None => str::from_utf8(data).ok().map(Cow::Borrowed),
    };
    match text {
        None => Decoded::Binary { bytes: data.len() },
        Some(text) => match sound_value(text) {
            Ok(text) => Decoded::Json { text, gzipped },
            Err(text) => Decoded::Text { text, gzipped },
        },
    }
}

/// The JSON value that the text holds, or the text again.
fn sound_value(text: Cow<'_, str>) -> Result<Cow<'_, str>, Cow<'_, str>> {
    match text {
        Cow::Borrowed(text) => json::sound_value(text).map(Cow::Borrowed).ok_or(Cow::Borrowed(text)),
        Cow::Owned(text) => match json::sound_value(&text).map(str::len) {
            None => Err(Cow::Owned(text)),
            Some(length) if length == text.len() => Ok(Cow::Owned(text)),
            Some(_) => Ok(Cow::Owned(text.trim().to_owned())),
        },
    }
}

/// Appends the view of a record as it lies in the stream.
pub fn write_kinesis(data: &[u8], out: &mut String) {
    write(&decode_kinesis(data), data.len(), out);
}

/// Appends the view of a record that was taken out of an aggregate.
pub fn write_kinesis_user_record(data: &[u8], out: &mut String) {
    write(&decode_user_record(data), data.len(), out);
}

fn write(decoded: &Decoded<'_>, stored: usize, out: &mut String) {
    match decoded {
        Decoded::Aggregate(records) => {
            let start = out.len();
            if !write_user_records(records, stored, out) {
                out.truncate(start);
                write_binary(stored, out);
            }
        }
        Decoded::Json { text, .. } => out.push_str(text),
        Decoded::Text { text, .. } if grows_too_large(text, stored) => write_binary(stored, out),
        Decoded::Text { text, .. } => json::write_string(text, out),
        Decoded::Binary { bytes } => write_binary(*bytes, out),
    }
}

/// Escapes make six bytes of one: ten kilobytes of gzip may hold ten megabytes of control characters, and their view
/// would have sixty.
fn grows_too_large(text: &str, stored: usize) -> bool {
    let limit = stored.saturating_add(UNPACKING_LIMIT);
    text.len().saturating_mul(6) > limit && json::string_length(text) > limit
}

/// `false` when the list grows too large: a key that stands in the table once may be told by every record, and each
/// record may be gzipped.
fn write_user_records(records: &[UserRecord<'_>], stored: usize, out: &mut String) -> bool {
    let limit = out.len().saturating_add(stored).saturating_add(UNPACKING_LIMIT);
    let mut allowance = UNPACKING_LIMIT;
    out.push('[');
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(r#"{"partitionKey":"#);
        json::write_string(record.partition_key, out);
        out.push_str(r#","data":"#);
        write(&decode(record.data, &mut allowance), record.data.len(), out);
        out.push('}');
        if out.len() > limit {
            return false;
        }
    }
    out.push(']');
    true
}

fn write_binary(stored: usize, out: &mut String) {
    out.push_str(r#"{"binary":"#);
    out.push_str(&stored.to_string());
    out.push('}');
}

#[cfg(test)]
mod tests;

//! The view of a Kinesis record's data: an aggregate, JSON, text or binary. JSON and text may be gzipped.

use std::borrow::Cow;

use crate::json;
use crate::kpl::{self, UserRecord};
use crate::view::MAX_UNPACKED_BYTES;
use crate::view::budget::Budget;
use crate::view::gzip::gunzip;

/// Decoded data. It has the first of these forms that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// An aggregate of the Kinesis Producer Library. Decode its records with [`decode_user_record`].
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
    /// Any other data.
    Binary {
        /// The size of the data in the stream, which may be compressed.
        bytes: usize,
    },
}

/// Decodes the data of a record of the stream.
pub fn decode_kinesis(data: &[u8]) -> Decoded<'_> {
    kpl::deaggregate(data).map_or_else(|| decode_user_record(data), Decoded::Aggregate)
}

/// Decodes the data of a user record of an aggregate. An aggregate within an aggregate is not opened.
pub fn decode_user_record(data: &[u8]) -> Decoded<'_> {
    decode(data, &mut Budget::default())
}

/// Decodes the data of a record or of a user record, and spends what it unpacks. An aggregate is not opened.
pub(crate) fn decode<'a>(data: &'a [u8], budget: &mut Budget) -> Decoded<'a> {
    let gunzipped = gunzip(data, budget);
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

/// The JSON value in the text, or the text as an error.
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

/// Appends the view of a record of the stream.
pub fn write_kinesis(data: &[u8], out: &mut String) {
    write(&decode_kinesis(data), data.len(), out);
}

/// Appends the view of a user record of an aggregate.
pub fn write_kinesis_user_record(data: &[u8], out: &mut String) {
    write(&decode_user_record(data), data.len(), out);
}

fn write(decoded: &Decoded<'_>, stored: usize, out: &mut String) {
    match decoded {
        Decoded::Aggregate(records) => {
            let start = out.len();
            if write_user_records(records, stored, out).is_err() {
                out.truncate(start);
                write_binary(stored, out);
            }
        }
        Decoded::Json { text, .. } => out.push_str(text),
        Decoded::Text { text, .. } if is_too_large(text, stored) => write_binary(stored, out),
        Decoded::Text { text, .. } => json::write_string(text, out),
        Decoded::Binary { bytes } => write_binary(*bytes, out),
    }
}

/// Returns true if the view of a text is too large. An escape makes six bytes of one: ten kilobytes of gzip may hold ten
/// megabytes of control characters, and their view would have sixty.
fn is_too_large(text: &str, stored: usize) -> bool {
    let limit = stored.saturating_add(MAX_UNPACKED_BYTES);
    text.len().saturating_mul(6) > limit && json::string_length(text) > limit
}

/// The view is larger than its limit.
struct TooLarge;

/// Appends a list of user records. It can be much larger than the aggregate: many records may share one long partition
/// key, and each record may be gzipped.
fn write_user_records(records: &[UserRecord<'_>], stored: usize, out: &mut String) -> Result<(), TooLarge> {
    let limit = out.len().saturating_add(stored).saturating_add(MAX_UNPACKED_BYTES);
    let mut budget = Budget::default();
    out.push('[');
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(r#"{"partitionKey":"#);
        json::write_string(record.partition_key, out);
        out.push_str(r#","data":"#);
        write(&decode(record.data, &mut budget), record.data.len(), out);
        out.push('}');
        if out.len() > limit {
            return Err(TooLarge);
        }
    }
    out.push(']');
    Ok(())
}

fn write_binary(stored: usize, out: &mut String) {
    out.push_str(r#"{"binary":"#);
    out.push_str(&stored.to_string());
    out.push('}');
}

#[cfg(test)]
mod tests;

//! Keys of hydrated messages in the overflow bucket, as they are written and as they are found again.
//!
//! `hydrated/<function name>/<yyyy>/<mm>/<dd>/<batch id>-<digest>-<status>.json`

use percent_encoding::percent_decode_str;

use crate::timestamp::Timestamp;
use crate::verdict::Status;

/// The folder of all of them, with the slash at its end.
pub const FOLDER: &str = "hydrated/";
/// Hexadecimal digits of a SHA-256, and of the digest of records.
const ID_DIGITS: usize = 64;
const DIGEST_DIGITS: usize = 16;

/// The folder of a function or a pipe, by its name without a version.
pub fn function_folder(name: &str) -> String {
    let safe: String = name.chars().map(key_safe).collect();
    format!("{FOLDER}{safe}/")
}

fn key_safe(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }
}

/// A key that S3 has encoded as a part of a URL, where `+` is a space. `None` if it is not UTF-8.
pub fn url_decoded(key: &str) -> Option<String> {
    Some(percent_decode_str(&key.replace('+', " ")).decode_utf8().ok()?.into_owned())
}

/// The name of an object in the folder of its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName<'a> {
    /// The id that all parts of a batch share.
    pub batch_id: &'a str,
    /// The digest of the records, as in a part's id.
    pub digest: &'a str,
    pub status: Status,
}

impl<'a> ObjectName<'a> {
    pub fn key(&self, function: &str, day: Timestamp) -> String {
        let Self { batch_id, digest, status } = self;
        format!("{}{}/{batch_id}-{digest}-{}.json", function_folder(function), day.date_path(), status.as_str())
    }

    /// Reads the last piece of a key. `None` for an object that no hydration has written.
    pub fn parse(name: &'a str) -> Option<Self> {
        let mut fields = name.strip_suffix(".json")?.splitn(3, '-');
        let (batch_id, digest, status) = (fields.next()?, fields.next()?, fields.next()?);
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let status = Status::ALL.into_iter().find(|known| known.as_str() == status)?;
        (is_hex(batch_id, ID_DIGITS) && is_hex(digest, DIGEST_DIGITS)).then_some(Self { batch_id, digest, status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_written_is_read_again() {
        let (batch_id, digest) = ("ab".repeat(32), "0123456789abcdef");
        for status in Status::ALL {
            let name = ObjectName { batch_id: &batch_id, digest, status };
            let key = name.key("or ders/é", Timestamp::EPOCH);
            let (folder, file) = key.rsplit_once('/').unwrap();
            assert_eq!(folder, "hydrated/or_ders__/1970/01/01");
            assert_eq!(ObjectName::parse(file), Some(name));
        }
    }

    #[test]
    fn another_name_is_not_read() {
        let id = "ab".repeat(32);
        for name in [
            String::new(),
            format!("{id}-0123456789abcdef-Complete"),
            format!("{id}-0123456789abcdef-complete.json"),
            format!("{id}-0123456789abcde-Complete.json"),
            format!("{id}-0123456789ABCDEF-Complete.json"),
            format!("{id}-Complete.json"),
            format!("{}-0123456789abcdef-Complete.json", "é".repeat(32)),
        ] {
            assert_eq!(ObjectName::parse(&name), None, "{name}");
        }
    }
}

//! Names of the ledger's records: safe in an S3 key, in a path, and in a listing.

use hydration::invocation_record::sha256_hex;

use super::function::FunctionArn;

/// The longest piece of a name that is used as it is. File systems allow 255 bytes.
const MAX_PLAIN_BYTES: usize = 100;
const HASHED: &str = "sha256-";

/// The name of one record, relative to the ledger: pieces of safe characters with `/` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    pub fn lock() -> Self {
        Self("lock.json".to_owned())
    }

    pub fn run(run: &RunKey) -> Self {
        let function = sha256_hex(run.function.as_str());
        let (prefix, name) = (Self::runs_of(&run.batch), piece(run.function.name()));
        Self(format!("{prefix}{name}.{}.json", function.get(..32).unwrap_or(&function)))
    }

    /// The beginning of the names of all runs.
    pub fn runs() -> &'static str {
        "runs/"
    }

    /// The beginning of the names of a batch's runs, one for each function that it ran on.
    pub fn runs_of(batch: &str) -> String {
        format!("{}{}/", Self::runs(), piece(batch))
    }

    /// The name of the record that says who discarded a message.
    pub fn discard(id: &str) -> Self {
        Self(format!("{}{}.json", Self::discards(), piece(id)))
    }

    /// The beginning of the names of all discards.
    pub fn discards() -> &'static str {
        "discards/"
    }

    /// The batch of a run, or the message of a discard.
    pub fn id(&self) -> Option<&str> {
        let piece = self.0.split('/').nth(1)?;
        Some(piece.strip_suffix(".json").unwrap_or(piece))
    }

    /// The name up to its last `/`, that included.
    pub fn prefix(&self) -> Option<&str> {
        self.0.rfind('/').and_then(|slash| self.0.get(..=slash))
    }

    /// A name that a store has listed. `None`: somebody else's file.
    pub fn listed(name: &str) -> Option<Self> {
        let is_ours = name.split('/').all(is_plain_or_hashed) && name.ends_with(".json");
        is_ours.then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity of a run: the batch's message id, and the whole ARN of the function it ran on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    pub batch: String,
    pub function: FunctionArn,
}

/// A text as one piece of a name. What is not safe, or too long, is replaced by its hash, so that two texts never share
/// a piece and no text leaves the ledger's own place.
pub fn piece(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("{HASHED}{}", sha256_hex(text)) }
}

fn is_plain(text: &str) -> bool {
    is_plain_or_hashed(text) && text.len() <= MAX_PLAIN_BYTES && !text.starts_with(HASHED)
}

fn is_plain_or_hashed(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 255 && !text.starts_with('.') && text.bytes().all(is_safe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(batch: &str, function: &str) -> Key {
        Key::run(&RunKey { batch: batch.to_owned(), function: FunctionArn::parse(function).unwrap() })
    }

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:orders";

    #[test]
    fn a_batch_has_a_key_for_each_function() {
        let keys = [
            FUNCTION,
            "arn:aws:lambda:eu-west-1:999999999999:function:orders",
            "arn:aws:lambda:us-east-1:123456789012:function:orders",
            "arn:aws-cn:lambda:eu-west-1:123456789012:function:orders",
            "arn:aws:lambda:eu-west-1:123456789012:function:orders:live",
        ]
        .map(|function| key("ab", function));
        for (index, one) in keys.iter().enumerate() {
            assert!(one.as_str().starts_with("runs/ab/orders."), "{one:?}");
            assert!(!keys[..index].contains(one));
        }
    }

    #[test]
    fn a_hostile_id_stays_inside() {
        for id in ["../../escaped", "/etc/passwd", ".", "..", "", "a/b", "a\0b", "a\nb", "\u{202e}", ".hidden"] {
            let piece = piece(id);
            assert!(piece.starts_with(HASHED) && !piece.contains(['/', '\0']), "{id}: {piece}");
        }
        assert_ne!(piece("../a"), piece("../b"));
        let hash = piece("../a");
        assert_ne!(piece(&hash), hash, "a text that looks like a hash is not taken for one");
    }

    proptest! {
        #[test]
        fn a_key_has_three_safe_pieces(id in any::<String>()) {
            let key = key(&id, FUNCTION);
            prop_assert_eq!(key.as_str().split('/').count(), 3);
            prop_assert!(key.as_str().split('/').all(is_plain_or_hashed));
            prop_assert_eq!(Key::listed(key.as_str()), Some(key));
        }
    }
}

//! Bytes as DynamoDB's JSON has them: base64, the standard alphabet, padded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(|_| D::Error::custom("not base64"))
}

/// The same for a set.
pub mod list {
    use super::{Deserialize, Deserializer, Engine, Error, STANDARD, Serializer};

    pub fn serialize<S: Serializer>(blobs: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(blobs.iter().map(|bytes| STANDARD.encode(bytes)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let blobs: Result<_, _> = texts.iter().map(|text| STANDARD.decode(text)).collect();
        blobs.map_err(|_| D::Error::custom("not base64"))
    }
}

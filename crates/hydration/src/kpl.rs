//! Aggregates of the Kinesis Producer Library (KPL): many user records in one Kinesis record.
//!
//! The format is the magic number, a protobuf (proto2) message, and its MD5
//! (<https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>):
//!
//! ```text
//! message AggregatedRecord {
//!   repeated string partition_key_table     = 1;
//!   repeated string explicit_hash_key_table = 2;
//!   repeated Record records                 = 3;
//! }
//! message Record {
//!   required uint64 partition_key_index     = 1;
//!   optional uint64 explicit_hash_key_index = 2;
//!   required bytes  data                    = 3;
//!   repeated Tag    tags                    = 4;
//! }
//! ```
//!
//! There is no generated decoder, because it would copy what it reads: four bytes of input become a record of a hundred
//! bytes in memory, and 10 MiB of input half a gigabyte. Here keys and data are borrowed from the input, and the two
//! lists are allocated once, at the size that a first pass has counted.

mod wire;

use md5::{Digest, Md5};
use wire::{Field, Fields, Malformed};

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST_BYTES: usize = 16;

/// The longest partition key, in Unicode code points
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>).
pub const MAX_PARTITION_KEY_CHARS: usize = 256;

/// A record that a producer put into an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRecord<'a> {
    pub partition_key: &'a str,
    pub data: &'a [u8],
}

/// The user records of an aggregate, in order. `None` if the data is a plain record.
///
/// Data that only looks like an aggregate is a plain record: its digest is wrong, its message does not decode, an index
/// points outside its table, a partition key is longer than Kinesis allows, or there is no user record. It is never
/// opened in part.
pub fn deaggregate(data: &[u8]) -> Option<Vec<UserRecord<'_>>> {
    let signed = data.strip_prefix(&MAGIC)?;
    let (message, digest) = signed.split_at_checked(signed.len().checked_sub(DIGEST_BYTES)?)?;
    if Md5::digest(message).as_slice() != digest {
        return None;
    }
    read(message).ok().filter(|records| !records.is_empty())
}

fn read(message: &[u8]) -> Result<Vec<UserRecord<'_>>, Malformed> {
    let (mut keys, mut hash_keys, mut records) = (0, 0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(_)) => keys += 1,
            (2, Field::Bytes(_)) => hash_keys += 1,
            (3, Field::Bytes(_)) => records += 1,
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
    }

    let mut table = Vec::with_capacity(keys);
    for field in Fields::of(message) {
        if let (1, Field::Bytes(key)) = field? {
            table.push(partition_key(key)?);
        }
    }

    let mut user_records = Vec::with_capacity(records);
    for field in Fields::of(message) {
        if let (3, Field::Bytes(record)) = field? {
            user_records.push(user_record(record, &table, hash_keys)?);
        }
    }
    Ok(user_records)
}

fn partition_key(bytes: &[u8]) -> Result<&str, Malformed> {
    let key = str::from_utf8(bytes).map_err(|_| Malformed)?;
    if key.chars().nth(MAX_PARTITION_KEY_CHARS).is_some() { Err(Malformed) } else { Ok(key) }
}

fn user_record<'a>(record: &'a [u8], table: &[&'a str], hash_keys: usize) -> Result<UserRecord<'a>, Malformed> {
    let (mut key_index, mut data) = (None, None);
    for field in Fields::of(record) {
        match field? {
            (1, Field::Number(index)) => key_index = Some(index),
            (2, Field::Number(index)) => {
                usize::try_from(index).ok().filter(|index| *index < hash_keys).ok_or(Malformed)?;
            }
            (3, Field::Bytes(bytes)) => data = Some(bytes),
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
    }
    let key_index = usize::try_from(key_index.ok_or(Malformed)?).map_err(|_| Malformed)?;
    let partition_key = *table.get(key_index).ok_or(Malformed)?;
    Ok(UserRecord { partition_key, data: data.ok_or(Malformed)? })
}

#[cfg(test)]
pub(crate) mod tests;

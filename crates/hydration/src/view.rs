//! The decoded view: what the records say, for eyes. `Records` beside it stays the truth.

mod dynamodb;
mod gzip;
mod kinesis;

pub use dynamodb::{write_attribute, write_dynamodb};
pub use kinesis::{Decoded, decode_kinesis, decode_user_record, write_kinesis, write_kinesis_user_record};

/// Unpacking stops here, in bytes: what a Kinesis record's gzip streams hold, and what opening an aggregate adds.
pub const UNPACKING_LIMIT: usize = 10 * 1024 * 1024;

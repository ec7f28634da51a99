//! The decoded view: the content of the records in a readable form. `Records` has the records as Lambda delivered them.

mod budget;
mod dynamodb;
mod gzip;
mod kinesis;
mod search;

pub(crate) use budget::Budget;
pub use dynamodb::{write_attribute, write_dynamodb};
pub(crate) use kinesis::decode;
pub use kinesis::{Decoded, decode_kinesis, decode_user_record, write_kinesis, write_kinesis_user_record};
pub use search::{FoundInRecord, search_record};

/// The limit for the bytes that the view of one Kinesis record may add to the record's own size: by decompressing it, and
/// by opening its aggregate.
pub const MAX_UNPACKED_BYTES: usize = 10 * 1024 * 1024;

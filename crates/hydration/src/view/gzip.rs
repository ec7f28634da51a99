//! Decompression of gzip.

use flate2::read::MultiGzDecoder;

use crate::view::budget::Budget;

const MAGIC: [u8; 2] = [0x1F, 0x8B];

/// The content of all gzip members, one after the other. `None` if the data is not gzip from start to end, or if its
/// content does not fit the budget.
pub fn gunzip(data: &[u8], budget: &mut Budget) -> Option<Vec<u8>> {
    data.starts_with(&MAGIC).then(|| budget.read(MultiGzDecoder::new(data))).flatten()
}

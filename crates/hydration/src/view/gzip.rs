//! Gzip, opened with a limit.

use std::io::Read;

use flate2::read::MultiGzDecoder;

const MAGIC: [u8; 2] = [0x1F, 0x8B];

/// What the gzip members hold, one after the other; `None` when the data is not gzip from end to end, or holds more
/// than `allowance` bytes. What was unpacked is taken off the allowance, which a stream that exceeds it uses up.
pub fn gunzip(data: &[u8], allowance: &mut usize) -> Option<Vec<u8>> {
    if !data.starts_with(&MAGIC) || *allowance == 0 {
        return None;
    }
    let mut unpacked = Vec::new();
    let limit = u64::try_from(*allowance).ok()?.saturating_add(1);
    let outcome = MultiGzDecoder::new(data).take(limit).read_to_end(&mut unpacked);
    let within = unpacked.len() <= *allowance;
    *allowance = allowance.saturating_sub(unpacked.len());
    (outcome.is_ok() && within).then_some(unpacked)
}

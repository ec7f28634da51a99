//! The limit for decompression.

use std::io::Read;

use crate::view::MAX_UNPACKED_BYTES;

/// The bytes that the view of one Kinesis record may still decompress. All codecs and all user records of an aggregate
/// share it. It limits the output, not the memory of a decoder.
#[derive(Debug)]
pub struct Budget {
    bytes_left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes_left: MAX_UNPACKED_BYTES }
    }
}

impl Budget {
    /// A budget of this many bytes.
    pub fn of_bytes(bytes: usize) -> Self {
        Self { bytes_left: bytes }
    }

    /// Reads a decompressed stream to its end, and spends the bytes that it has read. `None` if the stream is damaged or
    /// larger than the budget.
    pub fn read(&mut self, stream: impl Read) -> Option<Vec<u8>> {
        if self.bytes_left == 0 {
            return None;
        }
        let mut unpacked = Vec::new();
        let one_too_many = u64::try_from(self.bytes_left).ok()?.saturating_add(1);
        let result = stream.take(one_too_many).read_to_end(&mut unpacked);
        let fits = unpacked.len() <= self.bytes_left;
        self.bytes_left = self.bytes_left.saturating_sub(unpacked.len());
        (result.is_ok() && fits).then_some(unpacked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_spends_from_the_same_budget() {
        let mut budget = Budget { bytes_left: 10 };
        assert_eq!(budget.read(&[1; 6][..]), Some(vec![1; 6]));
        assert_eq!(budget.read(&[2; 4][..]), Some(vec![2; 4]));
        assert_eq!(budget.read(&[][..]), None);
    }

    #[test]
    fn a_stream_that_is_too_large_spends_the_whole_budget() {
        let mut budget = Budget { bytes_left: 10 };
        assert_eq!(budget.read(&[1; 11][..]), None);
        assert_eq!(budget.bytes_left, 0);
    }
}

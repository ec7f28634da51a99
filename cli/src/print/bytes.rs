//! Bytes: sizes in words, and dumps in the format of `hexdump -C`.

pub fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Sixteen bytes a line, and at most `max_lines` lines.
pub fn hex_dump(bytes: &[u8], max_lines: usize) -> Vec<String> {
    let mut lines: Vec<String> = bytes
        .chunks(16)
        .take(max_lines)
        .enumerate()
        .map(|(index, chunk)| {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
            let (left, right) = chunk.split_at(chunk.len().min(8));
            let text: String = chunk
                .iter()
                .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
                .collect();
            format!("{:08x}  {:<25}{:<25}|{text}|", index * 16, hex(left), hex(right))
        })
        .collect();
    let shown = max_lines.saturating_mul(16);
    if bytes.len() > shown {
        lines.push(format!("… {} more bytes", bytes.len() - shown));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_the_format_of_hexdump() {
        let lines = hex_dump(b"\x00\x01\xffABCDEFGHIJKLMNOPQ", 10);
        assert_eq!(lines[0], "00000000  00 01 ff 41 42 43 44 45  46 47 48 49 4a 4b 4c 4d  |...ABCDEFGHIJKLM|");
        assert_eq!(lines[1], "00000010  4e 4f 50 51                                       |NOPQ|");
        assert_eq!(hex_dump(&[0; 40], 1)[1], "… 24 more bytes");
    }
}

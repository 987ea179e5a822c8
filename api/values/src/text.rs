//! What is dropped around a text (docs/contract.md, "Requests").

/// Whether `c` is dropped at the beginning and the end of a text.
fn is_dropped(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// The text without the white space and control characters around it.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_dropped)
}

/// The bytes without the white space and control characters around them, in UTF-8. Bytes that are
/// not UTF-8 stay.
#[must_use]
pub fn trim_bytes(bytes: &[u8]) -> &[u8] {
    let first = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let bytes = &bytes[first.len() - first.trim_start_matches(is_dropped).len()..];
    let last = bytes.utf8_chunks().last().filter(|chunk| chunk.invalid().is_empty());
    let last = last.map_or("", |chunk| chunk.valid());
    &bytes[..bytes.len() - (last.len() - last.trim_end_matches(is_dropped).len())]
}

#[cfg(test)]
mod tests {
    use super::{trim, trim_bytes};

    #[test]
    fn bytes_are_trimmed_as_text_is_and_stay_if_they_are_not_utf_8() {
        for text in ["", " ", "\0 x\ty\r\n", "\u{85}\u{3000}位 \u{a0}\u{9f}", "\u{feff} x", "x"] {
            assert_eq!(trim_bytes(text.as_bytes()), trim(text).as_bytes(), "{text:?}");
        }
        for (bytes, expected) in [
            (&b" \xff "[..], &b"\xff"[..]),
            (b"\xff \xff\n", b"\xff \xff"),
            (b"\t\xe3\x80", b"\xe3\x80"),
            (b"\x80 x ", b"\x80 x"),
        ] {
            assert_eq!(trim_bytes(bytes), expected, "{bytes:?}");
        }
    }
}

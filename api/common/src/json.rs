//! JSON in ASCII, as the original sends it: also a client that takes a missing charset for Latin-1
//! reads it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// `value` as JSON. Escapes what is not ASCII as `\uXXXX`, characters beyond U+FFFF as a surrogate
/// pair (RFC 8259, 7).
///
/// # Errors
/// If `value` does not serialize.
pub(crate) fn to_ascii(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut text, Ascii))?;
    Ok(text)
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        // Nearly every fragment, and with less fuel than one character at a time.
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    writer.write_all(&escape(*unit))?;
                }
            }
        }
        Ok(())
    }

    fn write_raw_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        // In JSON, what is not ASCII is part of a string.
        self.write_string_fragment(writer, fragment)
    }
}

fn escape(unit: u16) -> [u8; 6] {
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift & 15)];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ascii_is_escaped() {
        for (text, escaped) in [
            ("", r#""""#),
            (" ~\"\\/", r#"" ~\"\\/""#),
            ("\0\n\u{1f}", r#""\u0000\n\u001f""#),
            ("\u{80}\u{2028}\u{feff}", r#""\u0080\u2028\ufeff""#),
            ("ubuntu 12.04 64位版", r#""ubuntu 12.04 64\u4f4d\u7248""#),
            ("\u{ffff}\u{10000}a\u{10ffff}", r#""\uffff\ud800\udc00a\udbff\udfff""#),
        ] {
            assert_eq!(String::from_utf8(to_ascii(&text).unwrap()).unwrap(), escaped);
            assert_eq!(serde_json::from_str::<String>(escaped).unwrap(), text);
        }
    }
}

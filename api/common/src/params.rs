//! Key-value parameters out of a form body and a query string.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode;

use crate::Error;

/// The parameters of one request, still encoded; each look-up decodes what it
/// needs and no more.
///
/// A name given twice: the last one counts. The body beats the query string.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    query: &'a [u8],
    body: &'a [u8],
}

impl<'a> Params<'a> {
    /// The parameters in a query string (without its `?`) and in a body, both
    /// `application/x-www-form-urlencoded`. Any bytes are accepted: what does
    /// not decode is a name that nobody asks for, or a value that is refused.
    #[must_use]
    pub fn new(query: &'a [u8], body: &'a [u8]) -> Self {
        Self { query, body }
    }

    /// The value of `name` as text, without the white space and control
    /// characters around it; bytes that are no UTF-8 become U+FFFD. `None`
    /// where the name is absent or nothing is left of its value.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let (_, value) = form_urlencoded::parse(self.last(name)?).next()?;
        let value = value.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The value of `name`, byte for byte. `None` where the name is absent.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let (_, value) = split(self.last(name)?);
        let spaced: Vec<u8> =
            value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        Some(Cow::from(percent_decode(&spaced)).into_owned())
    }

    /// The value of `name` as a number: ASCII decimal digits with an optional
    /// `+` before them. `None` where it is absent or empty.
    ///
    /// # Errors
    /// `InvalidParameter`, with `takes` for its text, where the value is no
    /// such number or is outside `range`.
    pub fn number(
        &self,
        name: &'static str,
        takes: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = text.strip_prefix('+').unwrap_or(&text);
        // `i64::from_str` would take a sign here.
        let number = match digits.as_bytes() {
            [b'0'..=b'9', ..] => digits.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Error::InvalidParameter { name, takes }),
        }
    }

    /// The last pair called `name`, still encoded.
    fn last(&self, name: &str) -> Option<&'a [u8]> {
        [self.body, self.query].into_iter().find_map(|source| {
            source.rsplit(|&byte| byte == b'&').find(|pair| is_called(pair, name))
        })
    }
}

fn is_called(pair: &[u8], name: &str) -> bool {
    let (encoded, _) = split(pair);
    form_urlencoded::parse(encoded).next().is_some_and(|(decoded, _)| decoded == name)
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(body: &str) -> Params<'_> {
        Params::new(b"", body.as_bytes())
    }

    fn number(text: &str) -> Result<Option<i64>, String> {
        body(&format!("n={text}"))
            .number("n", "a number", 1..=1000)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_last_one_counts_and_the_body_beats_the_query() {
        assert_eq!(body("a=1&b=2&a=3").text("a").unwrap(), "3");
        assert_eq!(Params::new(b"a=1", b"b=2").text("a").unwrap(), "1");
        assert_eq!(Params::new(b"a=1&a=2", b"a=3").text("a").unwrap(), "3");
        assert_eq!(Params::new(b"a=1", b"a=").text("a"), None);
    }

    #[test]
    fn names_and_values_are_decoded() {
        assert_eq!(body("%61=%E4%BD%8D+x").text("a").unwrap(), "位 x");
        assert_eq!(body("a=1=2").text("a").unwrap(), "1=2");
        assert_eq!(body("a=%zz%4").text("a").unwrap(), "%zz%4");
        assert_eq!(body("a=%ff").text("a").unwrap(), "\u{fffd}");
    }

    #[test]
    fn stray_separators_and_valueless_names_are_harmless() {
        assert_eq!(body("&&a=1&&=&=x&").text("a").unwrap(), "1");
        assert_eq!(body("a").text("a"), None);
        assert_eq!(body("a").bytes("a").unwrap(), b"");
        assert_eq!(body("").text("a"), None);
        assert_eq!(body("b=1").bytes("a"), None);
    }

    #[test]
    fn text_is_trimmed_of_space_and_control_characters() {
        assert_eq!(body("a=%00%20%09x+y%0d%0a%7f").text("a").unwrap(), "x y");
        assert_eq!(body("a=%E3%80%80x").text("a").unwrap(), "x");
        assert_eq!(body("a=+%00").text("a"), None);
    }

    #[test]
    fn bytes_are_kept_as_they_are() {
        assert_eq!(body("a=%00+%ff%20").bytes("a").unwrap(), b"\0 \xff ");
        assert_eq!(body("a=%2B").bytes("a").unwrap(), b"+");
    }

    #[test]
    fn numbers_are_ascii_decimal_with_an_optional_plus() {
        assert_eq!(number("7"), Ok(Some(7)));
        assert_eq!(number("%2B7"), Ok(Some(7)));
        assert_eq!(number("+7"), Ok(Some(7)));
        assert_eq!(number("007"), Ok(Some(7)));
        assert_eq!(number("%09 7%0a"), Ok(Some(7)));
        assert_eq!(number(""), Ok(None));
        assert_eq!(number("+"), Ok(None));
        for refused in [
            "-1",
            "%2B",
            "%2B%2B7",
            "%2B-7",
            "7.0",
            "0x10",
            "1e3",
            "7 7",
            "%EF%BC%97",
            "seven",
            "%ff",
            "0",
            "1001",
            "9223372036854775808",
            &"9".repeat(5000),
        ] {
            assert_eq!(number(refused), Err("n must be a number.".into()), "{refused}");
        }
    }
}

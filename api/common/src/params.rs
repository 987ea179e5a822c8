//! Key-value parameters from a form body and a query string.

use std::ops::RangeInclusive;

use luoyun_values::text::{trim, trim_bytes};
use percent_encoding::percent_decode;

use crate::Error;

/// The parameters of one request, still encoded.
///
/// If a name occurs more than once, the last pair counts; the body has precedence over the
/// query string.
#[derive(Debug)]
pub struct Params {
    query: Vec<u8>,
    body: Vec<u8>,
}

impl Params {
    /// The parameters in a query string (without its `?`) and in a body, both
    /// `application/x-www-form-urlencoded`. Any bytes are accepted.
    #[must_use]
    pub fn new(query: impl Into<Vec<u8>>, body: impl Into<Vec<u8>>) -> Self {
        Self { query: query.into(), body: body.into() }
    }

    /// The value of `name` as text, without the white space and control characters around it;
    /// invalid UTF-8 becomes U+FFFD. `None` if the name is absent or the value is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let (_, value) = form_urlencoded::parse(self.last(name)?).next()?;
        let text = trim(&value);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The value of `name` as bytes, without the white space and control characters around it.
    /// `None` if the name is absent.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let mut parts = self.last(name)?.splitn(2, |&byte| byte == b'=').skip(1);
        // `form_urlencoded` would replace invalid UTF-8.
        let value = parts.next().unwrap_or_default();
        let spaced: Vec<u8> =
            value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        let decoded: Vec<u8> = percent_decode(&spaced).collect();
        Some(trim_bytes(&decoded).to_vec())
    }

    /// The value of `name` as a number: ASCII decimal digits, optionally after a `+`. `None`
    /// if it is absent or empty.
    ///
    /// # Errors
    /// `InvalidParameter`, with the text `expected`, if the value is not a number within
    /// `range`.
    pub fn number(
        &self,
        name: &'static str,
        expected: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = text.strip_prefix('+').unwrap_or(&text);
        // `i64::from_str` accepts a sign, also after the `+`.
        let number = match digits.as_bytes() {
            [b'0'..=b'9', ..] => digits.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Error::InvalidParameter { name, expected }),
        }
    }

    /// The last pair with this `name`, still encoded.
    fn last(&self, name: &str) -> Option<&[u8]> {
        let has_name = |pair: &&[u8]| {
            form_urlencoded::parse(pair).next().is_some_and(|(decoded, _)| decoded == name)
        };
        [&self.body, &self.query]
            .into_iter()
            .find_map(|source| source.rsplit(|&byte| byte == b'&').find(has_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(body: &str) -> Params {
        Params::new("", body)
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
    fn bytes_are_trimmed_and_decoded_without_loss() {
        assert_eq!(body("a=%00+%ff+%80%20").bytes("a").unwrap(), b"\xff \x80");
        assert_eq!(body("a=%2B").bytes("a").unwrap(), b"+");
    }

    #[test]
    fn numbers_are_ascii_decimal_with_an_optional_plus() {
        assert_eq!(number("7"), Ok(Some(7)));
        assert_eq!(number("%2B7"), Ok(Some(7)));
        assert_eq!(number("+7"), Ok(Some(7)));
        assert_eq!(number("007"), Ok(Some(7)));
        assert_eq!(number("%C2%A0%09 7%0a%E3%80%80"), Ok(Some(7)));
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
            "1_0",
            "7%007",
            "%D9%A7",
            "%ff",
            "7%",
            "0",
            "1001",
            "9223372036854775808",
            &"9".repeat(5000),
        ] {
            assert_eq!(number(refused), Err("n must be a number.".into()), "{refused}");
        }
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        /// Encodes `bytes`: `ways` selects, in turn, between `%XX` and the short form (the
        /// letter or digit itself, `+` for a space).
        fn encode(bytes: &[u8], ways: &[bool]) -> String {
            let encode = |(at, &byte): (usize, &u8)| match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' if ways[at % ways.len()] => {
                    char::from(byte).to_string()
                }
                b' ' if ways[at % ways.len()] => "+".to_owned(),
                _ => format!("%{byte:02X}"),
            };
            bytes.iter().enumerate().map(encode).collect()
        }

        fn join(pairs: &[(String, Vec<u8>)], ways: &[bool]) -> String {
            let pair = |(name, value): &(String, Vec<u8>)| {
                format!("{}={}", encode(name.as_bytes(), ways), encode(value, ways))
            };
            pairs.iter().map(pair).collect::<Vec<_>>().join("&")
        }

        fn pairs() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
            prop::collection::vec(("[abc]{0,2}", prop::collection::vec(any::<u8>(), 0..8)), 0..6)
        }

        proptest! {
            /// The contract's rule, modelled with lists: the pairs of the query string, then
            /// those of the body; the last pair with a name counts.
            #[test]
            fn the_last_pair_of_query_then_body_counts(
                query in pairs(),
                body in pairs(),
                ways in prop::collection::vec(any::<bool>(), 1..9),
                name in "[abc]{1,2}",
            ) {
                let (encoded_query, encoded_body) = (join(&query, &ways), join(&body, &ways));
                let params = Params::new(encoded_query, encoded_body);
                let all = [query, body].concat();
                let expected = all.iter().rfind(|(known, _)| *known == name);
                let bytes = expected.map(|(_, value)| trim_bytes(value).to_vec());
                prop_assert_eq!(params.bytes(&name), bytes);

                let text = expected.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
                let edge = |c: char| c.is_whitespace() || c.is_control();
                let text = text.map(|text| text.trim_matches(edge).to_owned());
                prop_assert_eq!(params.text(&name), text.filter(|text| !text.is_empty()));
            }

            #[test]
            fn any_bytes_are_read_without_a_panic(
                query in prop::collection::vec(any::<u8>(), 0..64),
                body in prop::collection::vec(any::<u8>(), 0..64),
            ) {
                let params = Params::new(query, body);
                for name in ["", "a", "%", "&", "="] {
                    let _ = (params.text(name), params.bytes(name));
                }
                let _ = params.number("a", "a number", 1..=i64::MAX);
            }

            /// The contract's rule for numbers, modelled with characters: trimmed text, an
            /// optional plus, ASCII digits, and the value summed digit by digit.
            #[test]
            fn a_number_is_its_ascii_digits(
                text in r"[ \t\n\x00]{0,2}[+-]{0,2}[0-9\u{ff17}a.]{0,22}[ \x7f]{0,2}",
            ) {
                let trimmed: Vec<char> = text
                    .trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
                    .chars()
                    .collect();
                let digits = trimmed.strip_prefix(&['+']).unwrap_or(&trimmed);
                let is_number = !digits.is_empty() && digits.iter().all(char::is_ascii_digit);
                let value = digits.iter().fold(0_u128, |sum, digit| {
                    sum * 10 + u128::from(digit.to_digit(10).unwrap_or(0))
                });
                let expected = match i64::try_from(value) {
                    _ if trimmed.is_empty() => Some(None),
                    Ok(value) if is_number && value >= 1 => Some(Some(value)),
                    _ => None,
                };
                let encoded = join(&[("n".to_owned(), text.into_bytes())], &[true, false]);
                let found = body(&encoded).number("n", "a number", 1..=i64::MAX).ok();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

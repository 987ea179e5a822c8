//! The media type of a form.

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// Parts of the names of charsets in which ASCII characters have other bytes, or their bytes may be
/// other characters. The names are without `-` and `_`.
const NOT_ASCII: [&str; 9] =
    ["utf16", "utf32", "utf7", "ucs", "10646", "unicode", "iso2022", "hz", "ebcdic"];

/// Whether a body with these values of `Content-Type` has to be ASCII: it is a form in another
/// charset than UTF-8. An empty type or charset counts as absent. `None` if it is not a form, or in
/// a charset that does not agree with ASCII.
pub(super) fn check(values: &[Vec<u8>]) -> Option<bool> {
    let mut is_ascii = false;
    for value in values.iter().flat_map(|value| split(value, b',')) {
        let mut parts = split(value, b';');
        let media_type = parts.next().unwrap_or_default();
        if !(media_type.is_empty() || media_type.eq_ignore_ascii_case(FORM)) {
            return None;
        }
        for parameter in parts {
            let mut pair = parameter.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
            if !pair.next().is_some_and(|name| name.eq_ignore_ascii_case(b"charset")) {
                continue;
            }
            let charset = String::from_utf8_lossy(pair.next().unwrap_or_default()).to_lowercase();
            let charset = charset.replace(['-', '_', '"', '\\', '\'', ' '], "");
            if charset.contains("utf8") || charset.is_empty() {
                continue;
            }
            if NOT_ASCII.iter().any(|part| charset.contains(part)) || is_ebcdic(&charset) {
                return None;
            }
            is_ascii = true;
        }
    }
    Some(is_ascii)
}

/// The parts of a field's value between separators that are not in a quoted string (RFC 9110, 5.6.4),
/// without the white space around them.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = value.split(move |&byte| {
        let is_separator = byte == separator && !is_quoted;
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && is_quoted && !is_escaped;
        is_separator
    });
    parts.map(<[u8]>::trim_ascii)
}

/// Whether `charset` is the number of an EBCDIC code page, such as `cp037` and `ibm500`.
fn is_ebcdic(charset: &str) -> bool {
    let number = charset.trim_start_matches(|c: char| !c.is_ascii_digit());
    let prefix = &charset[..charset.len() - number.len()];
    let is_page = ["cp", "ibm", "ccsid"].iter().any(|name| prefix.ends_with(name));
    #[rustfmt::skip]
    let is_ebcdic = matches!(
        number.parse(),
        Ok(37 | 38 | 256..=299 | 420..=424 | 500 | 833..=839 | 870 | 871 | 875 | 880 | 905 | 918 | 924
            | 930 | 931 | 933 | 935 | 937 | 939 | 1025..=1027 | 1047 | 1097 | 1112 | 1122 | 1123 | 1130
            | 1132 | 1137 | 1140..=1160 | 1164 | 1166 | 1364 | 1371 | 1388 | 1390 | 1399_u16)
    );
    is_page && is_ebcdic
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_form_in_a_charset_that_agrees_with_ascii_is_accepted() {
        for (parameters, expected) in [
            ("", Some(false)),
            (";", Some(false)),
            ("; charset", Some(false)),
            ("; charset=", Some(false)),
            (r#"; charset="""#, Some(false)),
            (r#";CHARSET = "UTF\-8""#, Some(false)),
            ("; charset=utf8", Some(false)),
            (r#"; a="x;charset=utf-16""#, Some(false)),
            (r#"; a="\";charset=utf-16""#, Some(false)),
            (r#"; a="x;charset=utf-16"#, Some(false)),
            (r#"; a="\\"; charset=latin1"#, Some(true)),
            ("; charset=ISO-8859-1", Some(true)),
            ("; charset=utf-8; Charset=iso-8859-15", Some(true)),
            ("; charset=utf-8, application/x-www-form-urlencoded;charset=GBK", Some(true)),
            ("; charset=windows-1252", Some(true)),
            ("; charset=US-ASCII", Some(true)),
            ("; charset=gb18030", Some(true)),
            ("; charset=Shift_JIS", Some(true)),
            ("; charset=cp932", Some(true)),
            ("; charset=IBM00858", Some(true)),
            ("; charset=unknown", Some(true)),
            ("; charset=UTF-16LE", None),
            (r#"; charset="utf_32""#, None),
            ("; charset=UTF-7", None),
            ("; charset=ISO-10646-UCS-2", None),
            ("; charset=ISO-2022-JP", None),
            ("; charset=hz-gb-2312", None),
            ("; charset=cp037", None),
            ("; charset=IBM500", None),
            ("; charset=x-IBM1047", None),
            ("; charset=EBCDIC-US", None),
            ("; charset=utf-8; charset=utf-16", None),
            ("x", None),
            (", text/plain", None),
        ] {
            let content_type = format!("application/x-www-form-urlencoded{parameters}");
            assert_eq!(check(&[content_type.into_bytes()]), expected, "{parameters}");
        }
    }
}

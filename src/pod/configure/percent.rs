//! Percent-encoding (RFC 3986 §2.1), in both directions.

/// The bytes that `text` stands for. A percent sign that begins no pair of hex digits stands for itself.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, pair) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let byte = pair.get(1..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = pair.get(if byte.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// `text` as the value of a parameter in a URL's query. Colons stand as they are: ids have them, and servers compare ids.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':');
    let each = text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        for text in ["", "did:op:aa", "{\"a b\":\"é&=#+%\"}", "\u{0}\n"] {
            assert_eq!(decoded(&encoded(text)), text.as_bytes(), "{text:?}");
        }
        assert_eq!(encoded("did:op:a b&c"), "did:op:a%20b%26c");
    }

    #[test]
    fn a_percent_sign_alone_stands_for_itself() {
        for (text, bytes) in
            [("%", "%"), ("%2", "%2"), ("100%", "100%"), ("%zz%41", "%zzA"), ("%+1", "%+1"), ("%é", "%é")]
        {
            assert_eq!(decoded(text), bytes.as_bytes(), "{text:?}");
        }
    }
}

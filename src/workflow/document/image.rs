//! An image's name, by the grammar of container registries (distribution/reference): `[host[:port]/]path[:tag]`.
//!
//! It ends up in a pod's spec next to a digest or a tag, so what could be read in two ways is refused here.

/// An image's name and the tag that stood in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Without tag.
    pub(super) name: String,
    pub(super) tag: Option<String>,
}

/// Takes an image's name apart.
pub(super) fn parse(text: &str) -> Result<Image, &'static str> {
    /// The registries' own limit for a name.
    const MAX_BYTES: usize = 255;
    if text.contains('@') {
        return Err("contains '@'; the digest belongs into 'checksum'");
    }
    // A ':' before the last '/' is a port's, one after it is the tag's.
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match text.get(last..).and_then(|component| component.split_once(':')) {
        Some((component, tag)) => (text.get(..last + component.len()).unwrap_or_default(), Some(tag)),
        None => (text, None),
    };
    if name.len() > MAX_BYTES {
        return Err("has more than 255 characters");
    }
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (Some(first), rest),
        _ => (None, name),
    };
    if !host.is_none_or(is_host) || !path.split('/').all(is_component) {
        return Err(
            "is no image name: [host[:port]/]path, the path of lower-case letters, digits and single separators",
        );
    }
    if !tag.is_none_or(is_tag) {
        return Err("ends in ':' and what is no tag");
    }
    Ok(Image { name: name.to_owned(), tag: tag.map(str::to_owned) })
}

/// Whether `text` is a tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let valid = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return valid && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        label.starts_with(alphanumeric)
            && label.ends_with(alphanumeric)
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// `[a-z0-9]+` parts between the separators `.`, `_`, `__` and any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text
            .split(alphanumeric)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_host_port_and_tag_are_taken_apart() {
        for (text, name, tag) in [
            ("python", "python", None),
            ("python:3.12-slim", "python", Some("3.12-slim")),
            ("oceanprotocol/algo_dockers", "oceanprotocol/algo_dockers", None),
            ("localhost:5000/a", "localhost:5000/a", None),
            ("localhost:5000/a:b", "localhost:5000/a", Some("b")),
            ("ghcr.io/org/team/image--x__y.z:V1_.-", "ghcr.io/org/team/image--x__y.z", Some("V1_.-")),
            ("[::1]:5000/a", "[::1]:5000/a", None),
            ("name:5000", "name", Some("5000")),
        ] {
            assert_eq!(parse(text), Ok(Image { name: name.to_owned(), tag: tag.map(str::to_owned) }), "{text}");
        }
    }

    #[test]
    fn what_no_registry_could_hold_is_refused() {
        for text in [
            "",
            "Python",
            "a b",
            "a\n",
            "a\0",
            "/a",
            "a/",
            "a//b",
            "a:",
            "a:-b",
            "a:b:c",
            "a:b/c:d/e",
            "a@sha256:0",
            "-a",
            "a_",
            "a..b",
            "a___b",
            "../a",
            "https://h/a",
            "host.example:99999/a",
            "host.example:/a",
            "-h.example/a",
            "é",
            "$(id)",
            &"x".repeat(256),
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(!is_tag(&"x".repeat(129)) && !is_tag(".a") && !is_tag(""));
    }
}

//! Which urls a document may name. Whether they can be fetched, and are allowed to be, is decided where they are fetched.

use super::is_config_map_key;

/// The schemes that the engine fetches.
const SCHEMES: [&str; 7] = ["inline", "file", "http", "https", "s3", "ipfs", "ar"];

/// The longest url, in bytes. Signed urls of cloud storage stay well below.
const MAX_BYTES: usize = 8192;

/// Checks a url of a data set or an algorithm. The message never repeats the url: it may carry a token.
pub(super) fn check(url: &str) -> Result<(), String> {
    let (scheme, rest) = split(url)?;
    match scheme.as_str() {
        "inline" if !is_config_map_key(rest) => {
            Err("'inline:' is followed by the name of another key of the ConfigMap, \
            of A-Z a-z 0-9 . _ - and not beginning with '..'"
                .to_owned())
        }
        "inline" => Ok(()),
        "file" if rest.is_empty() => Err("names no file".to_owned()),
        "file" => Ok(()),
        "s3" => bucket_and_key(rest),
        known if SCHEMES.contains(&known) => with_authority(&scheme, rest),
        _ => Err(format!("begins with none of the schemes that can be fetched: {}", SCHEMES.join(", "))),
    }
}

/// Bucket names as old ones and other servers' have them too. What is not plainly one is not compared with the admin's list.
fn bucket_and_key(rest: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    match rest.strip_prefix("//").and_then(|rest| rest.split_once('/')) {
        Some((bucket, key)) if (3..=255).contains(&bucket.len()) && bucket.bytes().all(allowed) && !key.is_empty() => {
            Ok(())
        }
        _ => Err("'s3:' is followed by // and a bucket (3 or more of A-Z a-z 0-9 . _ -), a / and a key".to_owned()),
    }
}

/// Checks the url of a server.
pub(super) fn check_http(url: &str) -> Result<(), String> {
    let (scheme, rest) = split(url)?;
    if scheme == "http" || scheme == "https" {
        with_authority(&scheme, rest)
    } else {
        Err("must begin with http:// or https://".to_owned())
    }
}

fn split(url: &str) -> Result<(String, &str), String> {
    if url.len() > MAX_BYTES {
        return Err(format!("has {} bytes, at most {MAX_BYTES} are allowed", url.len()));
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("contains a space or a control character; write %20 for a space".to_owned());
    }
    match url.split_once(':') {
        Some((scheme, rest)) if scheme.len() <= 16 => Ok((scheme.to_ascii_lowercase(), rest)),
        _ => Err(format!("has no scheme; begin with one of {}", SCHEMES.join(", "))),
    }
}

fn with_authority(scheme: &str, rest: &str) -> Result<(), String> {
    match rest.strip_prefix("//") {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', '?', '#']) => Ok(()),
        _ => Err(format!("'{scheme}:' is followed by // and a name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_that_can_be_fetched_is_accepted() {
        for url in [
            "inline:penguins.csv",
            "file:data/a.csv",
            "file:///data/a.csv",
            "http://h/",
            "HTTPS://h:8443/a?b=c",
            "s3://bucket/key",
            "S3://my.bucket-1/a/b%20c",
            "ipfs://bafy/path",
            "ar://tx",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_refused_url_is_never_repeated() {
        for url in [
            "",
            "secret-token",
            "ftp://secret-token@h/",
            "http:secret-token",
            "http://",
            "https:///secret-token",
            "http://h/a secret-token",
            "http://h/\nsecret-token",
            "http://h/\u{2028}",
            "inline:",
            "inline:..",
            "inline:../secret-token",
            "inline:a/secret-token",
            "javascript:secret-token",
            "s3://secret-token",
            "s3://secret-token/",
            "s3://b/secret-token",
            "s3://u:secret-token@bucket/k",
            "s3:///secret-token",
            "s3:secret-token/k",
            &format!("http://h/{}", "x".repeat(8192)),
        ] {
            let message = check(url).unwrap_err();
            assert!(!message.contains("secret-token") && message.len() < 200, "{message}");
        }
    }

    #[test]
    fn a_server_is_reached_by_http() {
        assert_eq!(check_http("https://v4.aquarius.oceanprotocol.com"), Ok(()));
        for url in ["file:///etc/passwd", "s3://bucket", "http://", "//h", "inline:a"] {
            assert!(check_http(url).is_err(), "{url}");
        }
    }
}

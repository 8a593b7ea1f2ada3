//! What an S3 server means by an error: by its code, for statuses alone say little.
//!
//! Only code and message of an answer are shown. The rest may repeat the request: its signature, its session token.

use super::error::Meaning;

/// How object_store begins what it says about an answer that is no success.
const BEGINNINGS: [&str; 2] = ["Server returned non-2xx status code: ", "Server returned error response: "];
/// The most characters of a server's own message that are shown.
const MAX_MESSAGE_LEN: usize = 200;

/// An answer of a server that is no success.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal<'a> {
    /// The status; none for an error that came as a success.
    status: Option<u16>,
    /// The server's own word, e.g. `NoSuchBucket`.
    code: &'a str,
    message: &'a str,
}

impl<'a> Refusal<'a> {
    /// The answer that `text` tells of; none if it tells of something else, e.g. a connection that broke.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let said = BEGINNINGS.iter().find_map(|beginning| text.strip_prefix(beginning))?;
        let status = said.get(..3).and_then(|status| status.parse().ok());
        Some(Self { status, code: element(said, "Code"), message: element(said, "Message") })
    }

    /// Whether it says that the bucket is not there, not an object in it.
    pub(super) fn of_bucket(&self) -> bool {
        self.code == "NoSuchBucket"
    }

    /// Whether it says that an upload is not there, not an object.
    pub(super) fn of_upload(&self) -> bool {
        self.code == "NoSuchUpload"
    }

    /// What can be done; none if only what was tried tells.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        Some(match self.code {
            "ExpiredToken"
            | "TokenRefreshRequired"
            | "InvalidToken"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "AccessDenied"
            | "AccountProblem"
            | "AllAccessDisabled"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "InvalidIdentityToken"
            | "IDPRejectedClaim" => Meaning::Denied,
            // A clock may be set right, and another node has another.
            "RequestTimeTooSkewed" | "RequestExpired" => Meaning::Retry,
            "NoSuchBucket"
            | "InvalidBucketName"
            | "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "InvalidRequest"
            | "InvalidArgument"
            | "EntityTooSmall"
            | "NotImplemented"
            | "MethodNotAllowed" => Meaning::Misconfigured,
            "KeyTooLongError" | "EntityTooLarge" => Meaning::Unfit,
            // Another attempt begins another upload, and sends again what did not arrive.
            "NoSuchUpload"
            | "InvalidPart"
            | "InvalidPartOrder"
            | "BadDigest"
            | "IncompleteBody"
            | "RequestTimeout"
            | "XAmzContentSHA256Mismatch"
            | "OperationAborted"
            | "SlowDown"
            | "InternalError"
            | "ServiceUnavailable" => Meaning::Retry,
            _ => match self.status {
                Some(401 | 403 | 407) => Meaning::Denied,
                Some(404) | None => return None,
                Some(408 | 409 | 412 | 423 | 425 | 429) => Meaning::Retry,
                Some(301..=308 | 400..=499 | 501 | 505) => Meaning::Misconfigured,
                Some(_) => Meaning::Retry,
            },
        })
    }

    /// What it said, and what to do where that is known.
    pub(super) fn describe(&self) -> String {
        let mut text = match self.status {
            Some(status) => format!("status {status}"),
            None => "an error in the place of its answer".to_owned(),
        };
        let message = || self.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_LEN);
        if !self.code.is_empty() {
            text.push_str(", ");
            text.extend(self.code.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE_LEN));
        }
        if !self.message.is_empty() {
            text.push_str(": ");
            text.extend(message());
        }
        if let Some(advice) = self.advice() {
            text.push_str("; ");
            text.push_str(advice);
        }
        text
    }

    fn advice(&self) -> Option<&'static str> {
        Some(match (self.code, self.status) {
            ("RequestTimeTooSkewed" | "RequestExpired", _) => {
                "the clocks of this machine and of the store are far apart: set the one that is wrong"
            }
            ("ExpiredToken" | "TokenRefreshRequired", _) => {
                "the session token has expired: put a new one into the Secret"
            }
            ("InvalidAccessKeyId" | "InvalidToken", _) => "the store does not know this access key, or not any more",
            ("SignatureDoesNotMatch", _) => {
                "the secret access key does not belong to the access key's id, or the region is wrong"
            }
            ("NoSuchBucket", _) => "make the bucket, or correct its name",
            ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
            | (_, Some(301 | 307)) => "the bucket is in another region: correct the region, or the endpoint",
            ("XMinioStorageFull" | "QuotaExceeded", _) | (_, Some(507)) => "the store is full: make room in it",
            _ => return None,
        })
    }
}

/// The text of the first element of this name; empty if there is none.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let text = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    text.map_or("", |(text, _)| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_without_what_it_repeats() {
        let text = "Server returned non-2xx status code: 400 Bad Request: <?xml version=\"1.0\"?>\n<Error>\
                    <Code>ExpiredToken</Code><Message>The provided token\nhas expired.</Message><Token-0>hunter2</Token-0></Error>";
        let refusal = Refusal::of(text).unwrap();
        let expected = "status 400, ExpiredToken: The provided token has expired.; the session token has expired: \
                        put a new one into the Secret";
        assert_eq!(refusal.describe(), expected);
        assert_eq!(refusal.meaning(), Some(Meaning::Denied));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        assert_eq!(Refusal::of("HTTP error: error sending request"), None);
        assert_eq!(Refusal::of("Object at <Code>AccessDenied</Code> not found"), None);
    }

    #[test]
    fn statuses_speak_where_codes_do_not() {
        for (said, meaning) in [
            ("503 Service Unavailable: <html>", Some(Meaning::Retry)),
            ("507 Insufficient Storage: ", Some(Meaning::Retry)),
            ("429 Too Many Requests: ", Some(Meaning::Retry)),
            ("401 Unauthorized: ", Some(Meaning::Denied)),
            ("404 Not Found: ", None),
            ("413 Payload Too Large: ", Some(Meaning::Misconfigured)),
            ("400 Bad Request: <Code>RequestTimeout</Code>", Some(Meaning::Retry)),
            ("404 Not Found: <Code>NoSuchUpload</Code>", Some(Meaning::Retry)),
        ] {
            let text = format!("Server returned non-2xx status code: {said}");
            assert_eq!(Refusal::of(&text).unwrap().meaning(), meaning, "{said}");
        }
        let late = "Server returned error response: <Error><Code>InternalError</Code></Error>";
        assert_eq!(Refusal::of(late).unwrap().meaning(), Some(Meaning::Retry));
    }
}

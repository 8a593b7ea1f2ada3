//! Why a request to a node failed, by what it says: Kubo has one status for everything, so its words have to do.

use crate::{
    storage::{
        StorageError,
        error::{Meaning, without_queries},
    },
    workflow::report::clip,
};
use reqwest::StatusCode;
use std::error::Error as _;

/// The most bytes of a server's words that are repeated.
const MAX_SAID_LEN: usize = 400;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer, half an answer, or one from something in between. Whether the request took effect is unknown.
    Unreachable(String),
    /// It does not let us in.
    Denied(String),
    /// What answers is not what we took it for.
    Foreign(String),
    /// The command failed, and this is what the node says.
    Said(String),
    /// What was to be sent cannot be read any more.
    Broken,
}

/// What a node's words mean, as far as anything follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complaint {
    /// There is no such path.
    Absent,
    /// Something is there already.
    Exists,
    /// Something on the way is a file, or the end is none.
    WrongKind,
    /// The path is fine, but the node does not have the bytes.
    NoContent,
    /// It was not pinned, so nothing keeps it.
    NotPinned,
    /// Anything else.
    Other,
}

/// Seen on Kubo 0.43. The first that is found counts.
const WORDS: [(&str, Complaint); 15] = [
    ("directory already has entry", Complaint::Exists),
    ("cannot unlink existing file", Complaint::WrongKind),
    ("not pinned", Complaint::NotPinned),
    ("not part of the pinset", Complaint::NotPinned),
    ("no link named", Complaint::Absent),
    ("block was not found locally", Complaint::NoContent),
    ("could not find", Complaint::NoContent),
    ("Not a directory", Complaint::WrongKind),
    ("not a directory", Complaint::WrongKind),
    ("was not a file", Complaint::WrongKind),
    ("this dag node is a directory", Complaint::WrongKind),
    ("file already exists", Complaint::WrongKind),
    ("expected *mfs.Directory", Complaint::WrongKind),
    ("not a file", Complaint::WrongKind),
    ("file does not exist", Complaint::Absent),
];

impl Failure {
    /// A transfer that came to no end.
    pub(super) fn of_transfer(error: &reqwest::Error) -> Self {
        let text = chain(error);
        // A certificate that does not convince will not do so later.
        if text.contains("invalid peer certificate") { Self::Foreign(text) } else { Self::Unreachable(text) }
    }

    /// An answer with another status than 200.
    pub(super) fn of_status(status: StatusCode, body: &[u8]) -> Self {
        let said = said(body);
        let told = || format!("status {}: {said}", status.as_u16());
        match status.as_u16() {
            401 | 403 | 407 => Self::Denied(told()),
            408 | 425 | 429 | 502 | 503 | 504 => Self::Unreachable(told()),
            500 => Self::Said(said),
            // ipfs-cluster has statuses; that one does not know what is asked for at all is another matter.
            404 if said.contains("not part of the pinset") => Self::Said(said),
            300..=399 => Self::Foreign(format!(
                "it answers with a redirect (status {}); set the address that this leads to",
                status.as_u16()
            )),
            _ => Self::Foreign(told()),
        }
    }

    /// What the node complains of, if it was the node that spoke.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        let Self::Said(said) = self else { return None };
        let found = WORDS.iter().find(|(words, _)| said.contains(words));
        Some(found.map_or(Complaint::Other, |(_, complaint)| *complaint))
    }

    /// Whether this is the node's complaint.
    pub(super) fn is(&self, complaint: Complaint) -> bool {
        self.complaint() == Some(complaint)
    }

    /// As an error of the store of this name that was to do `what`.
    pub(super) fn during(self, what: &str, store: &str) -> StorageError {
        let meaning = match &self {
            Self::Denied(_) => Meaning::Denied,
            Self::Foreign(_) => Meaning::Misconfigured,
            Self::Said(_) if self.is(Complaint::WrongKind) => Meaning::Misconfigured,
            Self::Said(_) | Self::Unreachable(_) | Self::Broken => Meaning::Retry,
        };
        StorageError::new(meaning, what, store, &self.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(text) | Self::Denied(text) | Self::Foreign(text) | Self::Said(text) => f.write_str(text),
            Self::Broken => write!(f, "{}", crate::storage::Broken),
        }
    }
}

impl std::error::Error for Failure {}

/// The words in an error's body: Kubo's `{"Message":…}`, the cluster's `{"message":…}`, or plain text.
fn said(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("Message").or_else(|| json.get("message"))?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    clip(without_queries(text.trim()).as_str(), MAX_SAID_LEN)
}

/// What the server said in a trailer.
pub(super) fn said_in_trailer(text: &str) -> Failure {
    Failure::Said(clip(&without_queries(text), MAX_SAID_LEN))
}

fn chain(error: &reqwest::Error) -> String {
    // The URL stands in this library's own sentence alone; what it is about is known.
    let mut text = if error.is_connect() { "cannot connect" } else { "the exchange broke off" }.to_owned();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    clip(&without_queries(&text), MAX_SAID_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        for (said, complaint) in [
            ("file does not exist", Complaint::Absent),
            ("no link named \"x\" under bafy", Complaint::Absent),
            ("directory already has entry by that name", Complaint::Exists),
            ("cannot unlink existing file: not a file", Complaint::WrongKind),
            ("not pinned or pinned indirectly", Complaint::NotPinned),
            ("block was not found locally (offline): ipld: could not find bafy", Complaint::NoContent),
            ("cannot access /a/b: Not a directory", Complaint::WrongKind),
            ("no space left on device", Complaint::Other),
        ] {
            assert_eq!(Failure::Said(said.into()).complaint(), Some(complaint), "{said}");
        }
        assert_eq!(Failure::Denied("file does not exist".into()).complaint(), None);
    }

    #[test]
    fn statuses_say_what_can_be_done() {
        let of = |status, body: &str| Failure::of_status(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let kubo = of(500, r#"{"Message":"file does not exist","Code":0,"Type":"error"}"#);
        assert!(kubo.is(Complaint::Absent));
        assert!(of(503, "").during("write", "s").retry());
        assert!(matches!(of(403, "x").during("write", "s"), StorageError::Denied { .. }));
        assert!(matches!(of(307, "").during("write", "s"), StorageError::Misconfigured { .. }));
        let secret = of(500, "get https://u:hunter2@h/x?sig=hunter2 failed").during("read", "s");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(format!("{}", of(500, &"x".repeat(5000))).len() <= MAX_SAID_LEN);
    }
}

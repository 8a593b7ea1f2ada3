//! Errors of a store, by what their receiver can do about them.

use super::refusals::Refusal;
use object_store::{Error, client::HttpError, path::Path};
use std::{fmt, io};

/// Why a store did not do what it was asked to.
///
/// Messages name the store and the key, never a credential, and of a URL never its query.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It may go well later: the store is down, slow or full.
    #[error("{store} could not {what} for now; it is tried again")]
    Retry {
        /// The act and its key.
        what: String,
        /// The store.
        store: String,
        /// What it said.
        source: Cause,
    },
    /// The store does not accept us: an admin has to look at credentials and policies.
    #[error("{store} does not allow us to {what}; check the storage credentials and their rights")]
    Denied {
        /// The act and its key.
        what: String,
        /// The store.
        store: String,
        /// What it said.
        source: Cause,
    },
    /// The store is not what the settings say, e.g. a bucket that does not exist.
    #[error("{store} cannot {what}; check the storage settings")]
    Misconfigured {
        /// The act and its key.
        what: String,
        /// The store.
        store: String,
        /// What it said.
        source: Cause,
    },
    /// No store of this kind ever holds such a thing, whoever looks after it: a key too long, an object too large.
    #[error("{store} can never {what}; the workflow has to give its files shorter names, or write smaller ones")]
    Unfit {
        /// The act and its key.
        what: String,
        /// The store.
        store: String,
        /// What it said.
        source: Cause,
    },
    /// There is no such object.
    #[error("{store} has no {key}")]
    Missing {
        /// The object's key.
        key: String,
        /// The store.
        store: String,
    },
}

impl StorageError {
    /// Whether the same act may go well later, with nobody doing anything about it.
    pub fn retry(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }

    /// A [`StorageError::Misconfigured`] that we noticed ourselves.
    pub(super) fn misconfigured(cause: String, store: &str) -> Self {
        Self::Misconfigured { what: "be used".into(), store: store.into(), source: Cause(cause) }
    }

    /// An error of the store of this name that was to do `what`.
    pub(super) fn new(meaning: Meaning, what: &str, store: &str, cause: &str) -> Self {
        let (what, store, source) = (what.to_owned(), store.to_owned(), Cause(cause.to_owned()));
        match meaning {
            Meaning::Retry => Self::Retry { what, store, source },
            Meaning::Denied => Self::Denied { what, store, source },
            Meaning::Misconfigured => Self::Misconfigured { what, store, source },
            Meaning::Unfit => Self::Unfit { what, store, source },
        }
    }

    /// A failure of the operating system before there was a store.
    pub(super) fn of_io(what: &str, store: &str, error: &io::Error) -> Self {
        Self::new(meaning_of_io(error), what, store, &error.to_string())
    }
}

/// What a store said, as text, with the queries of URLs taken out: they can hold signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// What was tried; it decides what "not found" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Write,
    Read,
    List,
    Delete,
    Abort,
    Sign,
    Clock,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Abort => "end unfinished uploads below",
            Self::Sign => "sign a link to",
            Self::Clock => "tell the time",
        }
    }
}

/// What the receiver of an error can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Wait, and try again.
    Retry,
    /// Have somebody look at credentials and rights.
    Denied,
    /// Have somebody look at the settings.
    Misconfigured,
    /// Nothing: it can never be stored.
    Unfit,
}

pub(super) fn classify(action: Action, key: &Path, store: &str, error: &Error) -> StorageError {
    let answer = chain(error).map(|error| error.to_string()).find_map(|text| told(&text));
    let missing = action == Action::Read && is_missing(error);
    let meaning = match (error, &answer) {
        _ if missing => return StorageError::Missing { key: key.to_string(), store: store.to_owned() },
        (_, Some((Some(meaning), _))) => *meaning,
        // Writing needs no object to be there, but a bucket.
        (
            Error::NotFound { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. },
            _,
        )
        | (_, Some((None, _))) => Meaning::Misconfigured,
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => Meaning::Denied,
        (other, None) if chain(other).any(|error| error.is::<HttpError>()) => meaning_of_http(other),
        // The local file system says everything else in one kind of error, with the system's own below it.
        (other, None) => match io_error_below(other) {
            Some(error) if error.kind() == io::ErrorKind::InvalidFilename && !key.as_ref().is_empty() => Meaning::Unfit,
            error => error.map_or(Meaning::Retry, meaning_of_io),
        },
    };
    let what = if key.as_ref().is_empty() { action.as_str().to_owned() } else { format!("{} {key}", action.as_str()) };
    let cause = answer.map_or_else(|| without_queries(&whole_text(error)), |(_, cause)| cause);
    StorageError::new(meaning, &what, store, &cause)
}

/// Whether `error` says that there is no such object, and not that there is no such bucket.
pub(super) fn is_missing(error: &Error) -> bool {
    let of_bucket = |text: String| Refusal::of(&text).is_some_and(|refusal| refusal.of_bucket() || refusal.of_upload());
    matches!(error, Error::NotFound { .. }) && !chain(error).any(|error| of_bucket(error.to_string()))
}

/// What a server, or object_store itself, says in `text`, and what it means if that does not depend on what was tried.
fn told(text: &str) -> Option<(Option<Meaning>, String)> {
    if let Some(refusal) = Refusal::of(text) {
        return Some((refusal.meaning(), refusal.describe()));
    }
    let unusable = ["Received redirect without LOCATION", "Failed to read token file"];
    let unusable = unusable.iter().any(|beginning| text.starts_with(beginning));
    unusable.then(|| (Some(Meaning::Misconfigured), text.to_owned()))
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// `error` with its causes. This library's errors mostly repeat theirs, reqwest's never do. What is known of an exchange
/// begins where HTTP does; before it stand times and counts, which differ each time.
fn whole_text(error: &(dyn std::error::Error + 'static)) -> String {
    let http = chain(error).find(|error| error.is::<HttpError>());
    let mut text = http.map_or_else(|| error.to_string(), |http| http.to_string());
    for cause in chain(http.unwrap_or(error)).skip(1).map(|cause| cause.to_string()) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// A connection that fails is worth another attempt, unless it is the certificate that does not convince.
fn meaning_of_http(error: &(dyn std::error::Error + 'static)) -> Meaning {
    let untrusted = chain(error).any(|error| error.to_string().contains("invalid peer certificate"));
    if untrusted { Meaning::Misconfigured } else { Meaning::Retry }
}

fn io_error_below<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn meaning_of_io(error: &io::Error) -> Meaning {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Meaning::Denied,
        io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        // A file where a folder is to be made.
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => Meaning::Misconfigured,
        _ => Meaning::Retry,
    }
}

/// `text` with the query and the user information of every URL taken out. A query is taken to reach up to the next blank
/// or quotation mark: rather a word too much than half a signature.
pub(super) fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + "://".len());
        let (authority, path) = url.split_at(url.find(|c: char| c == '/' || ends_path(c)).unwrap_or(url.len()));
        let (path, query) = path.split_at(path.find(ends_path).unwrap_or(path.len()));
        let query_len = if query.starts_with('?') { query.find(ends_query).unwrap_or(query.len()) } else { 0 };
        out.push_str(before);
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        out.push_str(path);
        if query_len > 0 {
            out.push_str("?…");
        }
        rest = query.get(query_len..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn ends_path(c: char) -> bool {
    c == '?' || c == ')' || c == '>' || ends_query(c)
}

fn ends_query(c: char) -> bool {
    c.is_whitespace() || c == '"' || c == '`'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Generic { store: "S3", source: source.into() }
    }

    #[test]
    fn urls_lose_their_secrets_and_nothing_else() {
        for (text, expected) in [
            ("no url? none", "no url? none"),
            ("(https://AK:SK@s3.example/b/k?X-Amz-Signature=abc): 503", "(https://s3.example/b/k?… 503"),
            ("list http://h/b?prefix=a(b)'c&sig=x", "list http://h/b?…"),
            ("http://h?q and file:///x?y \"http://u@h\"", "http://h?… and file:///x?… \"http://h\""),
        ] {
            assert_eq!(without_queries(text), expected);
        }
    }

    #[test]
    fn errors_say_what_can_be_done() {
        let key = Path::parse("wf/x").unwrap();
        let is = |action, error: &Error| classify(action, &key, "s3://b", error);
        let missing = Error::NotFound { path: "x".into(), source: "NoSuchBucket".into() };
        assert!(matches!(is(Action::Write, &missing), StorageError::Misconfigured { .. }));
        assert!(matches!(is(Action::Read, &missing), StorageError::Missing { .. }));
        assert!(is(Action::Write, &generic("503 slow down")).retry());
        assert!(is(Action::Write, &generic(io::Error::from(io::ErrorKind::StorageFull))).retry());
        let denied = generic(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(is(Action::Write, &denied), StorageError::Denied { .. }));
        let unfit = generic(io::Error::from(io::ErrorKind::InvalidFilename));
        assert!(matches!(is(Action::Write, &unfit), StorageError::Unfit { .. }));
        let secret = generic("get https://h/x?sig=hunter2 failed");
        assert!(!format!("{:?}", is(Action::List, &secret)).contains("hunter2"));
    }
}

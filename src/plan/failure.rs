//! Why a request failed, by what can be done about it.

use std::time::Duration;

/// A failed request. A cluster sorts its errors into these; nothing above it asks for status codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The object is not as expected any more. Look again.
    #[error("it has changed since it was last seen")]
    Conflict,
    /// The object is not there.
    #[error("it does not exist")]
    NotFound,
    /// Certainly not carried out. Next tick, and not before `after`, if given.
    #[error("{error}")]
    NotDone {
        /// What happened.
        error: String,
        /// The server's `Retry-After`.
        after: Option<Duration>,
    },
    /// It may have been carried out. Read back before deciding.
    #[error("{error} (it may have been carried out)")]
    Unknown {
        /// What happened.
        error: String,
    },
    /// It will never be carried out as it is: invalid, too large, against an admission rule. Give this object up.
    #[error("{reason}: {message}")]
    Refused {
        /// One CamelCase word.
        reason: String,
        /// What the cluster says.
        message: String,
    },
    /// Not while a quota is used up.
    #[error("a quota is used up: {message}")]
    Quota {
        /// What the cluster says.
        message: String,
    },
    /// Not while something that it needs, and that may still come, is missing.
    #[error("{message}")]
    NotYet {
        /// What the cluster says.
        message: String,
    },
    /// This engine lacks the right, or its credentials. Nothing will work until an admin acts.
    #[error("not allowed: {message}")]
    Denied {
        /// What the cluster says.
        message: String,
    },
}

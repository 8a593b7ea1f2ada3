//! Errors, sorted by what can be done about them: by status *and* reason, since one status has several.

use crate::{plan::Failure, workflow::report::clip};
use kube::{Error, core::Status};
use std::{io, time::Duration};

/// The longest message that is passed on: the server quotes what it was sent.
const MAX_MESSAGE: usize = 600;

/// What kube gives as the reason where the answer was not the API server's own.
pub(super) const FOREIGN: &str = "Failed to parse error data";

/// What a failed read means. It changed nothing, so it is simply asked again.
pub(super) fn read_failure(error: Error) -> Failure {
    match failure(error, false) {
        Failure::Unknown { error } => Failure::NotDone { error, after: None },
        other => other,
    }
}

/// What a failed look at an object means that a write has just met: whatever is wrong with the look, it says nothing about
/// what was to be written, so that is not given up for it.
pub(super) fn read_back_failure(error: Error) -> Failure {
    match read_failure(error) {
        failure @ (Failure::NotDone { .. } | Failure::Denied { .. }) => failure,
        other => Failure::NotDone { error: format!("who has the name cannot be seen: {other}"), after: None },
    }
}

/// What a failed write means.
pub(super) fn write_failure(error: Error) -> Failure {
    failure(error, true)
}

/// Whether the name is taken. (kube's `is_conflict` is about the other 409.)
pub(super) fn already_exists(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}

/// Whether a patch named the UID of another object than the one that has the name now. A UID cannot be changed, so the server
/// finds the patch invalid.
pub(super) fn is_another(error: &Error) -> bool {
    let of_uid = |status: &Status| {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.field == "metadata.uid")
    };
    matches!(error, Error::Api(status) if status.code == 422 && of_uid(status))
}

fn failure(error: Error, write: bool) -> Failure {
    match error {
        Error::Api(status) => answered(&status, write),
        // A success whose body was cut or is no JSON: it was done, and we do not know what came of it.
        Error::SerdeError(_) => Failure::Unknown { error: "the answer cannot be read".to_owned() },
        other if never_sent(&other) => Failure::NotDone { error: chain(&other), after: None },
        other => Failure::Unknown { error: chain(&other) },
    }
}

/// What an error status of the API server means (kubernetes.io/docs/reference/using-api/api-concepts; the reasons are
/// `StatusReason` in apimachinery).
fn answered(status: &Status, write: bool) -> Failure {
    let message = clip(&status.message, MAX_MESSAGE);
    let reason = clip(&status.reason, 64);
    let after =
        status.details.as_ref().map(|details| u64::from(details.retry_after_seconds)).filter(|after| *after > 0);
    let not_done = |error: String| Failure::NotDone { error, after: after.map(Duration::from_secs) };
    match status.code {
        429 => not_done(format!("the server is busy: {message}")),
        // Something between us and the API server refuses to pass it on: what it says is not about our object.
        code @ 400..500 if is_foreign(status) && code != 413 => not_done(format!("status {code}: {message}")),
        // Rotated perhaps: the token file is read again every minute.
        401 => not_done(format!("not authenticated: {message}")),
        // A quota that was just made has not been counted yet.
        403 if message.contains("exceeded quota") || message.contains("status unknown for quota") => {
            Failure::Quota { message }
        }
        // Made together with the namespace perhaps, or a moment after: it may still come.
        403 if message.contains("error looking up service account") => Failure::NotYet { message },
        // "pods is forbidden: User \"…\" cannot create resource …" is RBAC; anything else that is forbidden is an admission's
        // decision about this object.
        403 if message.contains("is forbidden: User \"") && message.contains(" cannot ") => Failure::Denied { message },
        403 => Failure::Refused { reason, message },
        404 => Failure::NotFound,
        409 if status.reason == "AlreadyExists" => Failure::Refused { reason, message },
        409 => Failure::Conflict,
        // A list's continuation, or a version that was compacted away: ask anew.
        410 => not_done(message),
        400 | 405 | 406 | 413 | 415 | 422 => Failure::Refused { reason, message },
        // A webhook that could not be called, an etcd that did not answer, a proxy without a server: it may have been done.
        code if write => Failure::Unknown { error: format!("status {code}: {message}") },
        code => not_done(format!("status {code}: {message}")),
    }
}

/// Whether the answer is not the API server's own: its answers are a `Status`, in JSON, and kube makes one of anything else,
/// under this reason.
fn is_foreign(status: &Status) -> bool {
    status.reason == FOREIGN
}

/// Whether the request cannot have reached the server.
fn never_sent(error: &Error) -> bool {
    let sources = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    sources.into_iter().any(|error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
            )
        })
    }) || matches!(error, Error::BuildRequest(_) | Error::Auth(_) | Error::HttpError(_))
}

/// The error with its causes, each said once: kube repeats its source in its own text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    clip(&text, MAX_MESSAGE)
}

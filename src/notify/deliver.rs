//! One POST: how long it may take, where it may lead, and what counts as received.

use super::Message;
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    redirect,
};
use std::time::Duration;

/// Receivers know by it that they were told before (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most that is waited for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The most redirects that are followed, where any are.
const MAX_REDIRECTS: usize = 3;

/// Carries messages.
#[derive(Debug, Clone)]
pub struct Courier(Client);

/// Why a message was not received. It shows no part of the URL: those can hold credentials.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// There is no client to be had.
    #[error("no HTTP client can be set up: {0}")]
    Client(String),
    /// No answer.
    #[error("the receiver could not be reached: {0}")]
    Unreachable(String),
    /// An answer, and not a good one.
    #[error("the receiver answered {0}{hint}", hint = hint(*.0))]
    Status(u16),
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => ", which is not followed; set the address that it leads to, or notify.redirects",
        401 | 403 => "; check the address and what it asks for",
        404 | 405 => "; check the address",
        _ => "",
    }
}

impl Courier {
    /// A courier that waits at most `timeout` for all of an answer. Redirects that keep the method (307 and 308) are followed
    /// within one server if `redirects` says so; others never, since they would turn the message into a question.
    ///
    /// # Errors
    ///
    /// [`DeliverError::Client`] where TLS cannot be set up.
    pub fn new(timeout: Duration, redirects: bool) -> Result<Self, DeliverError> {
        let follow = move |attempt: redirect::Attempt<'_>| {
            let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
            let last = attempt.previous().last();
            let same_place = last.is_some_and(|last| last.origin() == attempt.url().origin());
            if redirects && keeps_method && same_place && attempt.previous().len() <= MAX_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        };
        let client = Client::builder()
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .redirect(redirect::Policy::custom(follow))
            .user_agent(concat!("operator-engine/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| DeliverError::Client(cause(&error)))
    }

    /// Sends a message; `key` is the same each time it is sent. The answer's body is not read.
    ///
    /// # Errors
    ///
    /// [`DeliverError`] for anything but an answer of 2xx.
    pub async fn deliver(&self, url: &Url, message: &Message, key: &str) -> Result<(), DeliverError> {
        let mut request = self
            .0
            .post(url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(message.body.clone());
        if let Ok(key) = HeaderValue::from_str(key) {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let answer = request.send().await.map_err(|error| DeliverError::Unreachable(cause(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(DeliverError::Status(status.as_u16())) }
    }
}

/// The innermost cause, which is the one that says something.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

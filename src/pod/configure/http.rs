//! One file over HTTP: requests, redirects, resumption, retries.
//!
//! ```text
//! fetch ── attempt ── follow ── admit (scheme, credentials, address) ── GET ── redirect? → admit again
//!   │         └ 200: from the start   206: the rest   else: an error
//!   └ error that may pass? → wait → attempt, with a Range for what is missing if its version is known
//! ```
//!
//! What is small, an answer to a question or a block of a larger file, is asked for in [`super::answer`], by the same client.
//!
//! The client is told to do nothing by itself: no redirects, no proxies, no cookies, no decoding, no retries. What this
//! module promises rests on each of these.

use super::{
    fault::{FetchError, told},
    guard::Guard,
    journal::{Journal, shown},
    policy::FetchPolicy,
    resume::{ContentRange, Validator},
    retry::{Backoff, Jitter, retry_after},
    sink::Sink,
};
use crate::workflow::digest::Sha256;
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE, RETRY_AFTER},
    redirect,
};

/// Bytes that count as progress: a transfer that gained so much starts counting its failures anew.
const PROGRESS: u64 = 1 << 20;

/// Where a file is asked for, attempt by attempt: a signed URL may be good for one attempt only.
#[async_trait]
pub(super) trait Ask: Send {
    /// The URL of the next attempt.
    async fn url(&mut self) -> Result<Url, FetchError>;

    /// Whether another attempt may succeed after this error.
    fn may_pass(&mut self, error: &FetchError) -> bool {
        error.may_pass()
    }
}

/// A URL that stays the same.
#[async_trait]
impl Ask for Url {
    async fn url(&mut self) -> Result<Url, FetchError> {
        Ok(self.clone())
    }
}

/// The client and its rules. Clones share their connections.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    guard: Guard,
    max_redirects: u32,
}

/// What is known of a file between two attempts.
#[derive(Debug, Default)]
struct Known {
    validator: Option<Validator>,
    resumed: bool,
}

impl Http {
    /// Fails where TLS cannot be set up, which is the case without any CA certificate on the machine.
    pub(super) fn new(policy: &FetchPolicy, guard: Guard) -> Result<Self, FetchError> {
        choose_tls();
        let client = Client::builder()
            .user_agent(concat!("operator-engine/", env!("CARGO_PKG_VERSION")))
            .no_proxy() // A proxy would resolve and connect in our place, past the guard.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(policy.connect())
            .read_timeout(policy.read())
            .dns_resolver(guard.clone())
            .build()
            .map_err(|error| FetchError::Client(told(&error.without_url())))?;
        Ok(Self { client, guard, max_redirects: policy.max_redirects })
    }

    /// Fills `sink` with what is there. Answers how many retries that took.
    pub(super) async fn fetch(
        &self,
        ask: &mut dyn Ask,
        expected: Option<Sha256>,
        sink: &mut Sink,
        mut backoff: Backoff,
        jitter: &mut Jitter,
        journal: &mut Journal<'_>,
    ) -> Result<u32, FetchError> {
        let mut known = Known::default();
        let (mut retries, mut most) = (0, 0);
        loop {
            let url = ask.url().await?;
            let result = match self.attempt(&url, &mut known, sink, journal).await {
                Ok(()) => check_digest(expected, &known, sink),
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(()) => return Ok(retries),
                Err(error) if ask.may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            if sink.len() >= most + PROGRESS {
                backoff.reset();
            }
            most = most.max(sink.len());
            if matches!(error, FetchError::DigestMismatch { .. } | FetchError::RangeMismatch) {
                known = Known::default();
            }
            let Some(wait) = backoff.next(error.retry_after(), jitter) else {
                return Err(FetchError::GaveUp { attempts: retries + 1, last: Box::new(error) });
            };
            retries += 1;
            let (host, have, wait_ms) = (shown(&url), sink.len(), wait.as_millis());
            journal.line(format!("{host}: {error}; {have} bytes are here, trying again in {wait_ms} ms"));
            tokio::time::sleep(wait).await;
        }
    }

    /// One answer, as far as it comes.
    async fn attempt(
        &self,
        url: &Url,
        known: &mut Known,
        sink: &mut Sink,
        journal: &mut Journal<'_>,
    ) -> Result<(), FetchError> {
        let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        if known.validator.is_none() {
            sink.restart().await?;
        }
        let have = sink.len();
        if let (Some(validator), 1..) = (&known.validator, have) {
            headers.insert(IF_RANGE, validator.value());
            headers.extend(HeaderValue::from_str(&format!("bytes={have}-")).ok().map(|value| (RANGE, value)));
        }
        let asked_for_rest = headers.contains_key(RANGE);
        let mut hops = Vec::new();
        let response = self.follow(Method::GET, url, &headers, None, &mut hops).await;
        hops.iter().for_each(|hop| journal.line(hop));
        let mut response = response?;
        let length = response.content_length();
        let end = match response.status() {
            StatusCode::OK => {
                sink.restart().await?;
                *known = Known { validator: Validator::of(response.headers()), resumed: false };
                length
            }
            StatusCode::PARTIAL_CONTENT if asked_for_rest => {
                let range = ContentRange::of(response.headers()).ok_or(FetchError::RangeMismatch)?;
                let same = known.validator.as_ref().is_some_and(|known| known.confirmed_by(response.headers()));
                let fits = length.is_none_or(|length| range.start.checked_add(length) == Some(range.end));
                if range.start != have || !same || !fits {
                    return Err(FetchError::RangeMismatch);
                }
                known.resumed = true;
                // Where a server sends less than the rest, the next attempt asks for what is then missing.
                range.total.or(Some(range.end))
            }
            StatusCode::RANGE_NOT_SATISFIABLE if asked_for_rest => return Err(FetchError::RangeMismatch),
            status => return Err(refusal(status, response.headers())),
        };
        if let Some(end) = end {
            sink.admit(end)?;
        }
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING) {
            let encoding = encoding.to_str().unwrap_or("unknown");
            journal.line(format!("{}: stored as served, in content encoding '{encoding}'", shown(url)));
        }
        while let Some(chunk) = response.chunk().await? {
            sink.write(&chunk).await?;
        }
        match end {
            Some(expected) if sink.len() < expected => Err(FetchError::Truncated { got: sink.len(), expected }),
            Some(expected) if sink.len() > expected => Err(FetchError::RangeMismatch),
            _ => Ok(()),
        }
    }

    /// Asks for `start` and follows redirects, each of which is as suspect as the first URL. `hops` gets a line for each.
    pub(super) async fn follow(
        &self,
        method: Method,
        start: &Url,
        headers: &HeaderMap,
        body: Option<Bytes>,
        hops: &mut Vec<String>,
    ) -> Result<Response, FetchError> {
        let mut url = start.clone();
        for _ in 0..=self.max_redirects {
            self.admit(&url)?;
            let request = self.client.request(method.clone(), url.clone()).headers(headers.clone());
            let request = if let Some(body) = &body { request.body(body.clone()) } else { request };
            let response = request.send().await?;
            // What is sent along is sent again only where the server says so (RFC 9110 §15.4).
            let again = match response.status().as_u16() {
                301..=303 => method == Method::GET,
                307 | 308 => true,
                _ => return Ok(response),
            };
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = next_hop(&url, location.filter(|_| again))?;
            hops.push(format!("{}: redirected to {}", shown(&url), shown(&next)));
            url = next;
        }
        Err(FetchError::TooManyRedirects(self.max_redirects))
    }

    fn admit(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::SchemeNotSupported(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::CredentialsInUrl);
        }
        Ok(self.guard.check_host(url)?)
    }
}

/// Says which TLS to use, without which no client can be made, not even one that makes no connection.
pub(super) fn choose_tls() {
    // Done already, if it fails.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Where a redirect leads. What was asked for under TLS is not then fetched in the clear.
fn next_hop(url: &Url, location: Option<&str>) -> Result<Url, FetchError> {
    let next = location.and_then(|location| url.join(location).ok()).ok_or(FetchError::BadRedirect)?;
    let downgrade = url.scheme() == "https" && next.scheme() == "http";
    if downgrade { Err(FetchError::InsecureRedirect) } else { Ok(next) }
}

/// The error that a status is.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap) -> FetchError {
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = after.and_then(|value| retry_after(value, jiff::Timestamp::now()));
    FetchError::Status { status: status.as_u16(), retry_after }
}

fn check_digest(expected: Option<Sha256>, known: &Known, sink: &Sink) -> Result<(), FetchError> {
    let actual = sink.sha256();
    match expected {
        Some(expected) if expected != actual => {
            Err(FetchError::DigestMismatch { expected, actual, resumed: known.resumed })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_may_be_relative_and_may_not_leave_tls() {
        let url: Url = "https://a.example/x/y?q".parse().unwrap();
        let next = |location| next_hop(&url, location).map_or_else(|error| error.reason().to_owned(), String::from);
        assert_eq!(next(Some("../z")), "https://a.example/z");
        assert_eq!(next(Some("//b.example/z")), "https://b.example/z");
        assert_eq!(next(Some("http://a.example/x")), "InsecureRedirect");
        assert_eq!((next(Some("https://[")), next(None)), ("BadRedirect".to_owned(), "BadRedirect".to_owned()));
    }
}

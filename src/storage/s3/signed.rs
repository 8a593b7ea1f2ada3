//! Requests to a bucket that object_store has no words for, signed and sent by its own means.

use super::Bucket;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use http::{Method, Request, header::DATE};
use jiff::{Timestamp, fmt::rfc2822};
use object_store::{
    Error, Result,
    aws::AwsAuthorizer,
    client::{HttpRequestBody, HttpResponse},
    path::Path,
    signer::{SignedUrlOptions, Signer as _},
};
use reqwest::{StatusCode, Url};
use std::time::Duration;

/// The most bytes of an answer that are read: a thousand keys of 1,024 bytes, every one of them escaped, need less.
const MAX_LEN: usize = 8 * 1024 * 1024;
/// The longest that a signature in a URL is valid ("Authenticating Requests: Using Query Parameters").
const MAX_VALIDITY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The waits before a request is sent again.
const WAITS: [Duration; 4] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// What the bucket answered.
pub(super) struct Answer {
    pub status: StatusCode,
    /// The store's clock.
    pub date: Option<Timestamp>,
    pub body: Bytes,
}

impl Answer {
    fn says(&self, code: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(&format!("<Code>{code}</Code>"))
    }

    /// An error of the kind that object_store makes of such an answer.
    pub(super) fn into_error(self) -> Error {
        let body = String::from_utf8_lossy(&self.body);
        let said = format!("Server returned non-2xx status code: {}: {body}", self.status);
        Error::Generic { store: "S3", source: said.into() }
    }
}

impl Bucket {
    /// A URL that anyone may read an object by, as a download: what strangers' programs wrote is not shown as a page.
    pub(in crate::storage) async fn link(&self, key: &Path, valid_for: Duration) -> Result<String> {
        if valid_for > MAX_VALIDITY {
            return Err(Error::NotSupported { source: "a signed link is valid for 7 days at most".into() });
        }
        let query = [("response-content-disposition", "attachment")];
        let options = SignedUrlOptions::new().with_query(query);
        let url = self.store.signed_url_opts(Method::GET, &self.whole_key(key), valid_for, &options).await?;
        Ok(url.into())
    }

    /// What time it is by the store's clock; asking proves that the bucket is there.
    pub(in crate::storage) async fn now(&self) -> Result<Option<Timestamp>> {
        let answer = self.ask(&[("list-type", "2"), ("max-keys", "1"), ("prefix", self.prefix.as_ref())]).await?;
        // Also if our clock is so wrong that it takes no request of ours: then most of all.
        if answer.status.is_success() || answer.says("RequestTimeTooSkewed") {
            return Ok(answer.date);
        }
        Err(answer.into_error())
    }

    /// Asks for the bucket itself, with `query`. Sent again for a while if the store is busy or cannot be reached.
    pub(super) async fn ask(&self, query: &[(&str, &str)]) -> Result<Answer> {
        let mut url = Url::parse(&format!("{}/", self.url)).map_err(generic)?;
        url.query_pairs_mut().extend_pairs(query);
        // A blank in a query is `%20` where requests are signed.
        let url = url.as_str().replace('+', "%20");
        let mut waits = WAITS.into_iter();
        loop {
            let answer = self.ask_once(&url).await;
            let again = answer.as_ref().map_or_else(
                |error| matches!(error, Asking::Unreachable(_)),
                |answer| answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS,
            );
            match waits.next() {
                Some(wait) if again => tokio::time::sleep(wait).await,
                _ => return answer.map_err(Asking::into_error),
            }
        }
    }

    async fn ask_once(&self, url: &str) -> Result<Answer, Asking> {
        let mut request = Request::builder().method(Method::GET).uri(url).body(HttpRequestBody::empty());
        let request = request.as_mut().map_err(|error| Asking::Hopeless(generic(error.to_string())))?;
        let credential = self.store.credentials().get_credential().await.map_err(Asking::Hopeless)?;
        let authorizer = AwsAuthorizer::new(&credential, "s3", &self.region);
        authorizer.try_authorize(request, None).map_err(Asking::Hopeless)?;
        let request = std::mem::replace(request, Request::new(HttpRequestBody::empty()));
        let response = self.client.execute(request).await.map_err(|error| Asking::Unreachable(generic(error)))?;
        read(response).await
    }
}

/// Why there is no answer.
enum Asking {
    /// It may work the next time.
    Unreachable(Error),
    /// It was not even asked, or said too much.
    Hopeless(Error),
}

impl Asking {
    fn into_error(self) -> Error {
        match self {
            Self::Unreachable(error) | Self::Hopeless(error) => error,
        }
    }
}

async fn read(response: HttpResponse) -> Result<Answer, Asking> {
    let (head, body) = response.into_parts();
    let date = head.headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let mut chunks = body.bytes_stream();
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.try_next().await.map_err(|error| Asking::Unreachable(generic(error)))? {
        if body.len() + chunk.len() > MAX_LEN {
            return Err(Asking::Hopeless(generic(format!("its answer has more than {MAX_LEN} bytes"))));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: head.status, date, body: body.freeze() })
}

pub(super) fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}

//! `Retry-After`. It stands in an answer's header, and of a failure the client hands on the body alone: so it is written into that.
//! The API server's own "too many requests" has a plain text as its body.

use super::classify::FOREIGN;
use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full};
use kube::client::DynBody;
use serde_json::{Value, json};
use tower::BoxError;

/// The most of a failure's body that is read.
const MAX: usize = 64 << 10;

/// The same answer; if it is a failure with a `Retry-After` in seconds, its body says so too.
pub(super) fn noted(answer: Answer) -> BoxFuture<'static, Result<Answer, BoxError>> {
    told(answer).boxed()
}

type Answer = Response<Box<DynBody>>;

async fn told(answer: Answer) -> Result<Answer, BoxError> {
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let Some(seconds) = seconds.filter(|_| answer.status().is_client_error() || answer.status().is_server_error())
    else {
        return Ok(answer);
    };
    let (mut parts, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = stream.frame().await {
        body.extend(frame?.into_data().unwrap_or_default());
        if body.len() > MAX {
            break;
        }
    }
    parts.headers.remove(CONTENT_LENGTH);
    let body = Full::new(with(&body, parts.status, seconds)).map_err(|never| match never {});
    Ok(Response::from_parts(parts, Box::new(body)))
}

fn with(body: &[u8], status: StatusCode, seconds: u32) -> Bytes {
    let own = serde_json::from_slice(body).ok().filter(|answer: &Value| answer["kind"] == "Status");
    let mut answer = own.unwrap_or_else(|| {
        let message = String::from_utf8_lossy(body);
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message.trim(),
            "reason": FOREIGN, "code": status.as_u16()})
    });
    if let Some(answer) = answer.as_object_mut() {
        let details = answer.entry("details").or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.entry("retryAfterSeconds").or_insert_with(|| json!(seconds));
        }
    }
    answer.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    async fn through(status: u16, after: Option<&str>, body: &str) -> String {
        let full = Full::new(Bytes::from(body.to_owned())).map_err(|never: Infallible| -> BoxError { match never {} });
        let mut answer = Response::builder().status(status);
        if let Some(after) = after {
            answer = answer.header(RETRY_AFTER, after);
        }
        let answer = noted(answer.body(Box::new(full) as Box<DynBody>).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn after(text: &str) -> (Value, Value) {
        let status: Value = serde_json::from_str(text).unwrap();
        (status["reason"].clone(), status["details"]["retryAfterSeconds"].clone())
    }

    #[tokio::test]
    async fn the_header_comes_to_stand_in_the_body() {
        let text = through(429, Some("7"), "Too many requests, please try again later.\n").await;
        assert_eq!(after(&text), (json!(FOREIGN), json!(7)));
        assert!(text.contains("please try again later"));
        let own = json!({"kind": "Status", "reason": "TooManyRequests", "code": 429}).to_string();
        assert_eq!(after(&through(429, Some(" 9 "), &own).await), (json!("TooManyRequests"), json!(9)));
        let said = json!({"kind": "Status", "reason": "Timeout", "details": {"retryAfterSeconds": 2}}).to_string();
        assert_eq!(after(&through(504, Some("9"), &said).await), (json!("Timeout"), json!(2)), "its own word counts");
    }

    #[tokio::test]
    async fn all_else_passes_unchanged() {
        for (status, after) in [(200, Some("7")), (429, None), (503, Some("soon")), (301, Some("7"))] {
            assert_eq!(through(status, after, "as it is").await, "as it is", "{status} {after:?}");
        }
    }
}

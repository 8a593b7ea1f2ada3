//! Small answers: kept in memory, bounded, asked for again where that may help.

use super::{
    fault::FetchError,
    http::{Http, refusal},
    journal::{Journal, shown},
    retry::{Backoff, Jitter},
};
use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue},
};

/// A question to a server.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) url: Url,
    /// What kinds of answer are understood, for `Accept`.
    pub(super) accept: &'static str,
    /// JSON that is sent along.
    pub(super) body: Option<Bytes>,
    /// The most bytes of the answer.
    pub(super) max: usize,
}

impl Http {
    /// Asks once. `hops` gets a line for each redirect.
    pub(super) async fn ask(&self, question: &Question, hops: &mut Vec<String>) -> Result<Bytes, FetchError> {
        let Question { method, url, accept, body, max } = question;
        let mut headers = HeaderMap::from_iter([
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (reqwest::header::ACCEPT, HeaderValue::from_static(accept)),
        ]);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut response = self.follow(method.clone(), url, &headers, body.clone(), hops).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response.status(), response.headers()));
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if chunk.len() > max.saturating_sub(bytes.len()) {
                return Err(FetchError::AnswerTooLong(*max));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Asks, and asks again where that may help.
    pub(super) async fn ask_until_answered(
        &self,
        question: &Question,
        mut backoff: Backoff,
        jitter: &mut Jitter,
        journal: &mut Journal<'_>,
    ) -> Result<Bytes, FetchError> {
        let mut attempts = 0;
        loop {
            let mut hops = Vec::new();
            let answer = self.ask(question, &mut hops).await;
            hops.iter().for_each(|hop| journal.line(hop));
            attempts += 1;
            let error = match answer {
                Err(error) if error.may_pass() => error,
                answer => return answer,
            };
            let Some(wait) = backoff.next(error.retry_after(), jitter) else {
                return Err(FetchError::GaveUp { attempts, last: Box::new(error) });
            };
            journal.line(format!("{}: {error}; asking again in {} ms", shown(&question.url), wait.as_millis()));
            tokio::time::sleep(wait).await;
        }
    }
}

//! An answer, read to its very end.
//!
//! A command of Kubo that fails after it began to answer has said 200 by then, and its body looks complete: only a trailer
//! tells. So every answer is read with its trailers.

use super::{
    failure::{Failure, said_in_trailer},
    rpc::within,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use reqwest::{
    Body,
    header::{DATE, HeaderMap},
};
use std::time::Duration;

/// The most bytes of an answer that is read as a whole, or of a line of a longer one.
pub(super) const MAX_LEN: usize = 16 * 1024 * 1024;
/// Where a node says that it failed after all.
const TRAILER: &str = "x-stream-error";

/// The body of an answer with status 200.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    headers: HeaderMap,
    /// How long nothing may come.
    pub(super) silence: Duration,
    /// What came and is not yet part of a line.
    buffer: BytesMut,
}

impl Answer {
    pub(super) fn new(response: reqwest::Response, silence: Duration) -> Self {
        let headers = response.headers().clone();
        Self { body: http::Response::<Body>::from(response).into_body(), headers, silence, buffer: BytesMut::new() }
    }

    /// The same, but with this patience.
    pub(super) fn patient(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// When the server sent it, by its own clock.
    pub(super) fn date(&self) -> Option<Timestamp> {
        let date = self.headers.get(DATE)?.to_str().ok()?;
        Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
    }

    /// The next bytes; none at the end, if the node has nothing to say against it.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let next = async { self.body.frame().await.transpose().map_err(|error| Failure::of_transfer(&error)) };
            let Some(frame) = within(self.silence, next).await? else { return Ok(None) };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    let said =
                        trailers.get(TRAILER).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
                    if let Some(said) = said.filter(|said| !said.is_empty()) {
                        return Err(said_in_trailer(&said));
                    }
                }
            }
        }
    }

    /// All of it, at most `max_len` bytes.
    pub(super) async fn whole(mut self, max_len: usize) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > max_len {
                return Err(Failure::Foreign(format!("its answer has more than {max_len} bytes")));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The next line; none at the end. A line is not empty, and ends by itself or with the answer.
    pub(super) async fn line(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut searched = 0;
        loop {
            let unsearched = self.buffer.iter().skip(searched);
            if let Some(end) = unsearched.into_iter().position(|&byte| byte == b'\n').map(|at| at + searched) {
                let line = self.buffer.split_to(end + 1).freeze().slice(..end);
                searched = 0;
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if searched > MAX_LEN {
                return Err(Failure::Foreign(format!("a line of its answer has more than {MAX_LEN} bytes")));
            }
            match self.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(self.buffer.split().freeze())),
            }
        }
    }
}

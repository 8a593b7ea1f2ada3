//! `add`: files sent one after the other in one request, while the node already answers.
//!
//! ```text
//!   we:    file 1 ─ file 2 ─ … ─ file n ─ the name of the next ──── its bytes, and what follows ─ end
//!   node:           id 1 ─ …      id n-1 ─ id n ───┘ (now all are known)                     ids of folders ─ root
//! ```

use super::{
    commands::checked_cid,
    failure::Failure,
    rpc::{Answer, Rpc, json, within},
};
use crate::storage::target::percent_encode;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use http::HeaderValue;
use reqwest::{Body, Method};
use serde::Deserialize;
use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, mpsc};

/// How many pieces of a file wait to be sent.
const AHEAD: usize = 2;

/// A line of the node's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Added {
    #[serde(alias = "name")]
    pub name: String,
    /// As ipfs-cluster names it: `cid`.
    #[serde(alias = "cid")]
    pub hash: String,
}

/// The request's body, as it is written.
pub(super) struct Upload {
    pieces: mpsc::Sender<Piece>,
    boundary: String,
    began: bool,
    alive: Arc<Notify>,
}

/// The two ends of an upload that has begun.
pub(super) struct Begun {
    pub upload: Upload,
    pub body: Body,
    pub content_type: HeaderValue,
    pub alive: Arc<Notify>,
}

enum Piece {
    Bytes(Bytes),
    /// Without it what was sent is not whole, and the connection is cut: an end that looks like one must not be sent.
    End,
}

/// Sets an upload up.
pub(super) fn begin() -> Result<Begun, Failure> {
    let (pieces, mut receiver) = mpsc::channel(AHEAD);
    let alive = Arc::new(Notify::new());
    // The files are a stranger's, who must not guess it.
    let [a, b] = [0; 2].map(|_: u8| RandomState::new().hash_one(0));
    let boundary = format!("operator-engine-{a:016x}{b:016x}");
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"))
        .map_err(|error| Failure::Foreign(error.to_string()))?;
    let mut ended = false;
    let (sign, sent) = (
        alive.clone(),
        futures::stream::poll_fn(move |context| {
            if ended {
                return std::task::Poll::Ready(None);
            }
            receiver.poll_recv(context).map(|piece| match piece {
                Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
                Some(Piece::End) => {
                    ended = true;
                    None
                }
                None => {
                    ended = true;
                    Some(Err(io::Error::other("the upload was given up")))
                }
            })
        }),
    );
    let sent = sent.inspect(move |_| sign.notify_one());
    let upload = Upload { pieces, boundary, began: false, alive: alive.clone() };
    Ok(Begun { upload, body: Body::wrap_stream(sent), content_type, alive })
}

impl Upload {
    /// Begins the file at `path`; what was begun before is at its end then.
    pub(super) async fn file(&mut self, path: &str) -> Result<(), Failure> {
        let before = if std::mem::replace(&mut self.began, true) { "\r\n" } else { "" };
        let (boundary, name) = (&self.boundary, percent_encode(path));
        let head = format!(
            "{before}--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.bytes(head.into()).await
    }

    /// Sends bytes of the file that was begun.
    pub(super) async fn bytes(&self, bytes: Bytes) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.piece(Piece::Bytes(bytes)).await
    }

    /// Sends all of the file that was begun, which must have `size` bytes.
    pub(super) async fn stream(
        &self,
        mut stream: BoxStream<'static, Result<Bytes, crate::storage::Broken>>,
        size: u64,
    ) -> Result<(), Failure> {
        let mut sent = 0;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|_| Failure::Broken)?;
            sent += bytes.len() as u64;
            self.alive.notify_one();
            self.bytes(bytes).await?;
        }
        if sent == size { Ok(()) } else { Err(Failure::Broken) }
    }

    /// Ends it: only now can it become anything.
    pub(super) async fn end(self) -> Result<(), Failure> {
        let before = if self.began { "\r\n" } else { "" };
        self.bytes(format!("{before}--{}--\r\n", self.boundary).into()).await?;
        self.piece(Piece::End).await
    }

    async fn piece(&self, piece: Piece) -> Result<(), Failure> {
        // Nobody takes it any more: why, the answer says.
        self.pieces.send(piece).await.map_err(|_| Failure::Unreachable("the node stopped listening".into()))
    }
}

impl Rpc {
    /// Begins an `add`. The answer can be awaited and read while the upload goes on.
    pub(super) async fn add(
        &self,
        query: &[(&str, &str)],
        body: Body,
        content_type: HeaderValue,
    ) -> Result<Answer, Failure> {
        let fixed = [("cid-version", "1"), ("raw-leaves", "true"), ("progress", "false")];
        let query: Vec<_> = fixed.into_iter().chain(query.iter().copied()).collect();
        let answer = self.send(Method::POST, "add", &query, Some((content_type, body))).await?;
        Ok(answer.patient(Duration::MAX))
    }
}

/// The next line of an `add`.
pub(super) async fn added(answer: &mut Answer) -> Result<Option<Added>, Failure> {
    let Some(line) = answer.line().await? else { return Ok(None) };
    let Added { name, hash } = json(&line)?;
    Ok(Some(Added { name, hash: checked_cid(hash)? }))
}

/// Reads an answer while its request is written, as long as there is a sign of life at least once in `patience`.
pub(super) async fn together<R, W>(
    alive: &Notify,
    patience: Duration,
    reading: impl Future<Output = Result<R, Failure>>,
    writing: impl Future<Output = Result<W, Failure>>,
) -> Result<(R, W), Failure> {
    let both = async {
        tokio::pin!(reading, writing);
        tokio::select! {
            read = &mut reading => Ok((read?, writing.await?)),
            written = &mut writing => match written {
                Ok(written) => Ok((reading.await?, written)),
                Err(Failure::Broken) => Err(Failure::Broken),
                // It stopped listening: it has said why, or will not.
                Err(failure) => Err(reading.await.err().unwrap_or(failure)),
            },
        }
    };
    tokio::pin!(both);
    loop {
        let sign = within(patience, async {
            alive.notified().await;
            Ok(())
        });
        tokio::select! {
            done = &mut both => return done,
            sign = sign => sign?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn an_upload_that_is_given_up_has_no_end() {
        for ends in [true, false] {
            let Begun { mut upload, body, .. } = begin().unwrap();
            let writing = async {
                upload.file("a/ü \"+%.csv").await.unwrap();
                upload.bytes("abc".into()).await.unwrap();
                if ends {
                    upload.end().await.unwrap();
                }
            };
            let ((), body) = tokio::join!(writing, body.collect());
            assert_eq!(body.is_ok(), ends);
            let Ok(body) = body else { continue };
            let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            assert!(text.contains("filename=\"a/%C3%BC%20%22%2B%25.csv\"\r\n"), "{text}");
            assert!(text.ends_with("--\r\n") && text.contains("\r\n\r\nabc\r\n--operator-engine-"), "{text}");
        }
    }
}

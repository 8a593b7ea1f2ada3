//! A proxy between a store and its clients that does to requests what networks, proxies and busy servers do.
//!
//! It passes requests on byte by byte, so that their signatures stay what they are, and sees each of them whole.

use http::{HeaderMap, Method};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server does not hear of it; this is the answer.
    Answer(u16, String),
    /// The server does it; this is the answer.
    LateAnswer(u16, String),
    /// The server does not hear of it; the connection ends when half of the request has come.
    CutInTheMiddle,
    /// The server does it; the connection ends without an answer.
    CutAfter,
    /// The server does it; half of the answer's body comes, then the connection ends.
    HalfAnswer,
}

/// A request as a script of faults sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// How many came before it.
    pub(crate) number: usize,
}

impl Asked {
    /// Whether it ends an upload in parts.
    pub(crate) fn completes(&self) -> bool {
        self.method == Method::POST && self.path.contains("uploadId=")
    }

    /// Whether it begins an upload in parts.
    pub(crate) fn begins(&self) -> bool {
        self.method == Method::POST && self.path.contains("?uploads")
    }

    /// Whether it is a part.
    pub(crate) fn is_part(&self) -> bool {
        self.method == Method::PUT && self.path.contains("partNumber=")
    }
}

type Script = dyn Fn(&Asked) -> Option<Fault> + Send + Sync;

/// A running proxy. It ends when this is dropped.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) endpoint: String,
    line: Arc<Line>,
    task: tokio::task::JoinHandle<()>,
}

struct Line {
    upstream: String,
    client: reqwest::Client,
    script: Box<Script>,
    asked: AtomicUsize,
    injected: AtomicUsize,
}

impl Proxy {
    /// Starts one before `upstream`, a URL; with `tls` it speaks `https`.
    pub(crate) async fn start(
        upstream: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        crate::stores::use_ring();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let line = Arc::new(Line {
            upstream: upstream.to_owned(),
            client: reqwest::Client::builder().no_proxy().http1_only().build().unwrap(),
            script: Box::new(script),
            asked: AtomicUsize::new(0),
            injected: AtomicUsize::new(0),
        });
        let serving = line.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (line, tls) = (serving.clone(), tls.clone());
                // Whoever hangs up, on either side, ends the connection.
                tokio::spawn(async move {
                    match tls {
                        None => line.serve(stream).await,
                        Some(tls) => line.serve::<TlsStream<_>>(tls.accept(stream).await.ok()?).await,
                    }
                });
            }
        });
        Self { endpoint, line, task }
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> usize {
        self.line.asked.load(Ordering::Relaxed)
    }

    /// How many faults there were.
    pub(crate) fn injected(&self) -> usize {
        self.line.injected.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let (asked, length) = self.read_head(&mut stream, &mut buffer).await?;
            let fault = (self.script)(&asked);
            self.injected.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
            let wanted = if fault == Some(Fault::CutInTheMiddle) { length / 2 } else { length };
            while buffer.len() < wanted {
                more(&mut stream, &mut buffer).await?;
            }
            if fault == Some(Fault::CutInTheMiddle) {
                return None;
            }
            let body: Vec<u8> = buffer.drain(..length).collect();
            if let Some(Fault::Answer(code, text)) = &fault {
                stream.write_all(&head(*code, &HeaderMap::new(), text.len())).await.ok()?;
                if asked.method != Method::HEAD {
                    stream.write_all(text.as_bytes()).await.ok()?;
                }
                continue;
            }
            let request = self.client.request(asked.method.clone(), format!("{}{}", self.upstream, asked.path));
            let answer = request.headers(asked.headers.clone()).body(body).send().await.ok()?;
            let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = answer.bytes().await.ok()?;
            match fault {
                Some(Fault::LateAnswer(code, text)) => {
                    stream.write_all(&head(code, &HeaderMap::new(), text.len())).await.ok()?;
                    stream.write_all(text.as_bytes()).await.ok()?;
                }
                Some(Fault::HalfAnswer) => {
                    stream.write_all(&head(code, &headers, body.len())).await.ok()?;
                    stream.write_all(&body[..body.len() / 2]).await.ok()?;
                    stream.flush().await.ok()?;
                    return None;
                }
                Some(_) => return None,
                None => {
                    stream.write_all(&head(code, &headers, body.len())).await.ok()?;
                    stream.write_all(&body).await.ok()?;
                }
            }
            stream.flush().await.ok()?;
        }
    }

    async fn read_head(&self, stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<(Asked, usize)> {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            more(stream, buffer).await?;
        };
        let text: Vec<u8> = buffer.drain(..end).collect();
        let text = String::from_utf8(text).ok()?;
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.parse().ok()?, first.next()?.to_owned());
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            headers.append(http::HeaderName::try_from(name).ok()?, value.trim().parse().ok()?);
        }
        let length = headers.get("content-length").map_or(Some(0), |length| length.to_str().ok()?.parse().ok())?;
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        Some((Asked { method, path, headers, number }, length))
    }
}

fn head(code: u16, headers: &HeaderMap, length: usize) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {code} Some Reason\r\n");
    for (name, value) in headers {
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
    }
    // An answer to HEAD says how long the body would be, and a client that knows that does not wait for it.
    let length =
        headers.get("content-length").and_then(|length| length.to_str().ok()).map_or(length.to_string(), str::to_owned);
    text.push_str(&format!("content-length: {length}\r\n\r\n"));
    text.into_bytes()
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    let read = tokio::time::timeout(Duration::from_secs(600), stream.read_buf(buffer)).await.ok()?;
    (read.ok()? > 0).then_some(())
}

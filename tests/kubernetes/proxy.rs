//! A proxy between an engine and the API server that does to requests what networks, proxies and busy servers do.
//!
//! It speaks plain HTTP/1.1 to the engine, byte by byte, so that also what no HTTP library would send can be sent.

use crate::cluster::{Cluster, client};
use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server does not hear of it; this is the answer. `after`: `retryAfterSeconds` and `Retry-After`.
    Status { code: u16, reason: &'static str, message: &'static str, after: Option<u32> },
    /// The server does not hear of it; the answer is a page for people.
    Page { code: u16 },
    /// The server does it; this is the answer.
    LateStatus { code: u16, reason: &'static str },
    /// The server does not hear of it; the connection is reset.
    ResetBefore,
    /// The server does it; the connection is reset.
    ResetAfter,
    /// The server does it; half of the answer comes, then nothing.
    Hangs,
    /// The server does it; half of the answer comes, then the connection ends.
    Cut,
    /// The server does it; the answer is well-formed HTTP with half of its JSON.
    HalfJson,
}

/// A request as a script of faults sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
}

type Script = dyn Fn(&Asked) -> Option<Fault> + Send + Sync;

/// A running proxy. It ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) kubeconfig: PathBuf,
    injected: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

struct Line {
    upstream: Client,
    script: Box<Script>,
    injected: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts one for the engine's user.
    pub(crate) async fn start(
        cluster: &Cluster,
        name: &str,
        script: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = cluster.directory.join(format!("{name}.kubeconfig"));
        let server = format!("http://{}", listener.local_addr().unwrap());
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "engine", "user": {"token": "the proxy has the real one"}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "engine"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        let injected: Arc<AtomicUsize> = Arc::default();
        let upstream = client(cluster.kubeconfig("engine")).await;
        let line = Arc::new(Line { upstream, script: Box::new(script), injected: injected.clone() });
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let line = line.clone();
                // Whoever hangs up, on either side, ends the connection.
                tokio::spawn(async move { line.serve(stream).await });
            }
        });
        Self { kubeconfig, injected, task }
    }

    /// Stops listening. Connections that are there stay.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// How many faults there were.
    pub(crate) fn injected(&self) -> usize {
        self.injected.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let request = read_request(&mut stream, &mut buffer).await?;
            let asked =
                Asked { method: request.method().to_string(), path: request.uri().path_and_query()?.to_string() };
            let fault = (self.script)(&asked);
            self.injected.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
            match fault {
                Some(Fault::Status { code, reason, message, after }) => {
                    stream.write_all(&status(code, reason, message, after)).await.ok()?;
                    continue;
                }
                Some(Fault::Page { code }) => {
                    let page = "<html><head><title>nginx</title></head><body><h1>Sorry</h1></body></html>";
                    stream
                        .write_all(&message(code, "content-type: text/html\r\n", page.as_bytes(), page.len()))
                        .await
                        .ok()?;
                    continue;
                }
                Some(Fault::ResetBefore) => return reset(&stream),
                _ => {}
            }
            let answer = self.upstream.send(request).await.ok()?;
            let (head, body) = read_answer(answer).await?;
            let half = body.len() / 2;
            let kind = "content-type: application/json\r\n";
            match fault {
                None => stream.write_all(&message(head, kind, &body, body.len())).await.ok()?,
                Some(Fault::LateStatus { code, reason }) => {
                    stream.write_all(&status(code, reason, "the server was too late to say", None)).await.ok()?;
                }
                Some(Fault::Hangs) => {
                    stream.write_all(&message(head, kind, &body[..half], body.len())).await.ok()?;
                    tokio::time::sleep(Duration::from_secs(600)).await;
                    return None;
                }
                Some(Fault::Cut) => {
                    stream.write_all(&message(head, kind, &body[..half], body.len())).await.ok()?;
                    return None;
                }
                Some(Fault::HalfJson) => stream.write_all(&message(head, kind, &body[..half], half)).await.ok()?,
                _ => return reset(&stream),
            }
        }
    }
}

/// Not an orderly end: what the other side reads is an error.
fn reset(stream: &TcpStream) -> Option<()> {
    stream.set_zero_linger().ok()
}

fn status(code: u16, reason: &str, text: &str, after: Option<u32>) -> Vec<u8> {
    let details = after.map(|seconds| json!({"retryAfterSeconds": seconds}));
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": text, "reason": reason, "details": details, "code": code})
    .to_string();
    let after = after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    message(code, &format!("content-type: application/json\r\n{after}"), body.as_bytes(), body.len())
}

fn message(code: u16, headers: &str, body: &[u8], length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 {code} Some Reason\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn read_answer(answer: Response<Body>) -> Option<(u16, Vec<u8>)> {
    let code = answer.status().as_u16();
    Some((code, answer.into_body().collect_bytes().await.ok()?.to_vec()))
}

/// One request, as bytes of the connection. What is in `buffer` beyond it stays there.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request<Body>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    let mut length = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            // The real client has its own.
            "host" | "authorization" | "connection" => {}
            _ => request = request.header(name, value.trim()),
        }
    }
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    let body: Vec<u8> = buffer.drain(..length).collect();
    request.body(Body::from(body)).ok()
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

//! A server that does to the byte what a test says, which a well-behaved HTTP library would not.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What comes after the bytes of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    /// The end of the connection.
    Close,
    /// Nothing, and no end either.
    Hang,
    /// More bytes, for ever.
    Endless,
}

/// One answer.
pub(super) type Reply = (Vec<u8>, Then);

/// Answers every connection's first request, and closes it.
pub(super) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// `script` gets the number of the request, from 0, and its head, header names in lower case.
    pub(super) async fn start(script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, script) = (requests.clone(), Arc::new(script));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), script.clone()));
            }
        });
        Self { port, requests, task }
    }

    /// Gives the same file to everybody.
    pub(super) async fn of(body: &'static str) -> Self {
        Self::start(move |_, _| ok(body)).await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    script: Arc<impl Fn(usize, &str) -> Reply + Send + Sync>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|length| length.parse().unwrap());
    let mut body = vec![0; length.unwrap_or_default()];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(head.clone());
        seen.len() - 1
    };
    let (bytes, then) = script(number, &head);
    let _ = stream.write_all(&bytes).await;
    match then {
        Then::Close => {}
        Then::Hang => std::future::pending().await,
        Then::Endless => while stream.write_all(&[b'x'; 4096]).await.is_ok() {},
    }
}

/// Bytes as they go over the wire: a status line, headers and a body, with a length only where `headers` gives one.
pub(super) fn raw(status: &str, headers: &[&str], body: &str) -> Reply {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    (format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes(), Then::Close)
}

pub(super) fn ok(body: &str) -> Reply {
    raw("200 OK", &[&format!("content-length: {}", body.len())], body)
}

pub(super) fn redirect(to: &str) -> Reply {
    raw("302 Found", &[&format!("location: {to}"), "content-length: 0"], "")
}

//! A wire to an IPFS node that does to chosen requests what a node does not do when it is asked to.

use futures::future::BoxFuture;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink, split},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A request that passes.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// From 0 on.
    pub(crate) number: usize,
    /// E.g. `files/cp`.
    pub(crate) command: String,
}

/// What becomes of it.
pub(crate) enum Fault {
    /// The node is not asked; this is the whole answer.
    Answer(String),
    /// The node does it, and the end of its answer gets lost.
    Lost,
    /// Only so many bytes of its answer's body arrive.
    Cut(usize),
    /// Nothing, for ever.
    Hang,
    /// This happens just before.
    First(BoxFuture<'static, ()>),
}

/// How much the end of an answer is: more than trailers, less than a head.
const END: usize = 64;

/// How long a node that is not at the end of its answer waits for the next file at least.
const PAUSE: Duration = Duration::from_millis(500);

type Script = dyn Fn(&Asked) -> Option<Fault> + Send + Sync;

pub(crate) struct Wire {
    /// Where the node seems to be.
    pub(crate) api: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    injected: Arc<AtomicUsize>,
}

impl Wire {
    pub(crate) async fn to(api: &str, script: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self::secured(api, None, script).await
    }

    /// With `tls` it speaks `https`.
    pub(crate) async fn secured(
        api: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            api: format!("{scheme}://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
            injected: Arc::default(),
        };
        let node = api.trim_start_matches("http://").to_owned();
        let (asked, injected, script): (_, _, Arc<Script>) =
            (wire.asked.clone(), wire.injected.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (asked, injected, script, node) = (asked.clone(), injected.clone(), script.clone(), node.clone());
                let tls = tls.clone();
                tokio::spawn(async move {
                    // Whoever hangs up early is no matter of the wire's.
                    let _ = match tls {
                        None => serve(client, &node, &asked, &injected, script.as_ref()).await,
                        Some(tls) => match tls.accept(client).await {
                            Ok(client) => serve(client, &node, &asked, &injected, script.as_ref()).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        wire
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn injected(&self) -> usize {
        self.injected.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    node: &str,
    asked: &Mutex<Vec<Asked>>,
    injected: &AtomicUsize,
    script: &Script,
) -> std::io::Result<()> {
    let (head, rest) = head(&mut client).await?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let request = {
        let mut asked = asked.lock().unwrap();
        let command = path.trim_start_matches("/api/v0/").to_owned();
        let number = asked.len();
        asked.push(Asked { number, command });
        asked.last().unwrap().clone()
    };
    let fault = script(&request);
    if fault.is_some() {
        injected.fetch_add(1, Ordering::SeqCst);
    }
    // How much of the answer's body arrives; none: all but its end.
    let arrives = match fault {
        Some(Fault::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return Ok(());
        }
        Some(Fault::Answer(answer)) => {
            client.write_all(answer.as_bytes()).await?;
            client.shutdown().await?;
            // What is still being sent is taken, as a server does that has made up its mind.
            copy(&mut client, &mut sink()).await?;
            return Ok(());
        }
        Some(Fault::First(happens)) => {
            happens.await;
            Some(usize::MAX)
        }
        Some(Fault::Lost) => None,
        Some(Fault::Cut(len)) => Some(len),
        None => Some(usize::MAX),
    };
    let mut server = TcpStream::connect(node).await?;
    // One request a connection, so that each is seen.
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes()).await?;
    server.write_all(&rest).await?;
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = server.split();
    let forward = async {
        copy(&mut from_client, &mut to_server).await?;
        std::future::pending::<()>().await;
        Ok(())
    };
    let back = async {
        let (mut passed, mut held) = (None, Vec::new());
        loop {
            match timeout(PAUSE, from_server.read_buf(&mut held)).await {
                Ok(Ok(0)) => break,
                Ok(read) => {
                    read?;
                }
                // The node waits for more of the request, so this is not the end.
                Err(_) => {
                    if arrives.is_none() && !held.is_empty() {
                        to_client.write_all(&held).await?;
                        to_client.flush().await?;
                        held.clear();
                        passed = Some(0);
                    }
                    continue;
                }
            }
            let body = passed
                .map_or_else(|| held.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4), |_| Some(0));
            let Some(body) = body else { continue };
            let now = match arrives {
                None => held.len().saturating_sub(END),
                Some(len) => held.len().min(len.saturating_sub(passed.unwrap_or(0)).saturating_add(body)),
            };
            to_client.write_all(&held[..now]).await?;
            to_client.flush().await?;
            held.drain(..now);
            passed = Some(passed.unwrap_or(0) + now.saturating_sub(body));
            if !held.is_empty() && arrives.is_some() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! { done = forward => done, done = back => done }
}

async fn head(client: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(at + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A 200 that turns out to be a failure at its very end.
pub(crate) fn trailer_error(body: &str, message: &str) -> String {
    let chunk = if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n", body.len()) };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Stream-Error\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n{chunk}0\r\nX-Stream-Error: {message}\r\n\r\n"
    )
}

/// An answer of this status.
pub(crate) fn answer(status: u16, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status} As Wanted\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
}

//! From the algorithm's pipe to the log file and to our own standard output.
//!
//! The file gets everything and may slow the algorithm down, as any disk does. Standard output is a courtesy to
//! `kubectl logs`: when nobody reads it, it is given up for as long as that lasts, and never holds the work up.

use super::capped_log::{CappedLog, Summary};
use bytes::{Bytes, BytesMut};
use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write},
    os::fd::AsFd as _,
    thread,
    time::Duration,
};
use tokio::{net::unix::pipe::Receiver, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// What is read at once: a quarter of a pipe's usual 64 KiB.
const CHUNK: usize = 16 * 1024;
/// Chunks on their way to the file or to standard output; 1 MiB each way at most.
const QUEUE: usize = 64;
/// How long a standard output that nobody reads is waited for before it is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much is still read from the pipe after the last writer was killed: the largest size an unprivileged process can
/// give a pipe (`/proc/sys/fs/pipe-max-size`).
const MAX_LEFT_IN_PIPE: u64 = 1024 * 1024;
/// How long the file may take to swallow the rest.
const FILE_LIMIT: Duration = Duration::from_secs(30);

/// A running tee. Dropping it stops nothing; see [`Tee::finish`].
pub(super) struct Tee {
    pump: JoinHandle<Console>,
    writers_are_gone: CancellationToken,
    summary: mpsc::Receiver<Summary>,
}

impl Tee {
    /// Starts to read `pipe`. Needs a Tokio runtime.
    pub(super) fn start(pipe: Receiver, log: CappedLog<Box<dyn Write + Send>>) -> Self {
        let (to_file, chunks) = mpsc::channel(QUEUE);
        let summary = write_file(log, chunks);
        let writers_are_gone = CancellationToken::new();
        let pump = tokio::spawn(pump(pipe, writers_are_gone.clone(), to_file, Console::open()));
        Self { pump, writers_are_gone, summary }
    }

    /// Takes what is left in the pipe, completes the file and says what became of it. To be called when no process is
    /// left that writes; one that got away is not waited for.
    pub(super) async fn finish(mut self) -> Summary {
        self.writers_are_gone.cancel();
        let console = timeout(FILE_LIMIT, &mut self.pump).await;
        let summary = match timeout(FILE_LIMIT, self.summary.recv()).await {
            Ok(Some(summary)) => summary,
            _ => Summary { error: Some(ErrorKind::TimedOut.into()), ..Summary::default() },
        };
        if let Ok(Ok(mut console)) = console {
            if let Some(error) = &summary.error {
                let line = format!("[operator-engine: the log file is incomplete: {error}]\n");
                console.send(line.into()).await;
            }
            console.close().await;
        }
        summary
    }
}

async fn pump(
    pipe: Receiver,
    writers_are_gone: CancellationToken,
    to_file: mpsc::Sender<Bytes>,
    mut console: Console,
) -> Console {
    loop {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        tokio::select! {
            ready = pipe.readable() => if ready.is_err() { break },
            () = writers_are_gone.cancelled() => break,
        }
        match pipe.try_read_buf(&mut buffer) {
            Ok(0) => return console,
            Ok(_) => pass_on(buffer.freeze(), &to_file, &mut console).await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    // The rest is read without the event loop, which may not have heard of it yet.
    let Ok(pipe) = pipe.into_nonblocking_fd() else { return console };
    let mut pipe = File::from(pipe).take(MAX_LEFT_IN_PIPE);
    loop {
        let mut buffer = BytesMut::zeroed(CHUNK);
        match pipe.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return console,
            Ok(n) => {
                buffer.truncate(n);
                pass_on(buffer.freeze(), &to_file, &mut console).await;
            }
        }
    }
}

async fn pass_on(chunk: Bytes, to_file: &mpsc::Sender<Bytes>, console: &mut Console) {
    let _ = to_file.send(chunk.clone()).await;
    console.send(chunk).await;
}

/// Writes `chunks` to the file on a thread of its own: a disk that hangs must not keep a signal from being served.
fn write_file(mut log: CappedLog<Box<dyn Write + Send>>, mut chunks: mpsc::Receiver<Bytes>) -> mpsc::Receiver<Summary> {
    let (done, summary) = mpsc::channel(1);
    thread::spawn(move || {
        while let Some(chunk) = chunks.blocking_recv() {
            log.write(&chunk);
        }
        let _ = done.blocking_send(log.finish());
    });
    summary
}

/// Our standard output, behind a thread of its own.
struct Console {
    chunks: Option<mpsc::Sender<Bytes>>,
    closed: mpsc::Receiver<()>,
    stalled: bool,
}

impl Console {
    fn open() -> Self {
        let (chunks, mut queue) = mpsc::channel::<Bytes>(QUEUE);
        let (done, closed) = mpsc::channel(1);
        thread::spawn(move || {
            let _done = done;
            // The bare descriptor: `Stdout` keeps a lock and a buffer that a blocked write would hold at exit.
            let Ok(stdout) = std::io::stdout().as_fd().try_clone_to_owned() else { return };
            let mut stdout = File::from(stdout);
            while let Some(chunk) = queue.blocking_recv() {
                if write_patiently(&mut stdout, &chunk).is_err() {
                    return;
                }
            }
        });
        Self { chunks: Some(chunks), closed, stalled: false }
    }

    async fn send(&mut self, chunk: Bytes) {
        let Some(chunks) = &self.chunks else { return };
        if self.stalled {
            self.stalled = chunks.try_send(chunk).is_err();
        } else {
            match timeout(PATIENCE, chunks.send(chunk)).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => self.chunks = None,
                Err(_elapsed) => self.stalled = true,
            }
        }
    }

    /// Waits a moment for what is still on its way.
    async fn close(mut self) {
        self.chunks = None;
        let _ = timeout(PATIENCE, self.closed.recv()).await;
    }
}

/// `write_all` for a descriptor that somebody else may have made non-blocking.
fn write_patiently(stdout: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match stdout.write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

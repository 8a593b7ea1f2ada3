//! One file on its way into the store: read once, hashed on the way, held in memory a part at a time.

use super::{fault::Fault, progress::Progress, reader::Reader, tree::Tree, walk::Found};
use crate::{storage::Storage, workflow::digest::Sha256};
use object_store::MultipartUpload;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// What all files together may hold in memory. Two buffers of 8 MiB on each core would do for a link of 10 Gbit/s; four in
/// all leave room below 64 MiB for everything else.
const MEMORY: u32 = 32 * 1024 * 1024;
/// What is read at once where the store does not ask for parts of a size.
pub(super) const CHUNK: u64 = 1024 * 1024;
/// S3 takes at most 10,000 parts. So parts of 8 MiB have to grow from 78 GiB on, and [`MEMORY`] is enough for files of
/// 312 GiB; of a larger one a single part is above it.
const MAX_PARTS: u64 = 10_000;
/// How long to try to abort what failed, when mostly the store is away.
const ABORT_FOR: Duration = Duration::from_secs(15);

/// Sends files. Clones share the memory.
#[derive(Clone)]
pub(super) struct Sender {
    tree: Tree,
    storage: Storage,
    progress: Arc<Progress>,
    memory: Arc<Semaphore>,
}

impl Sender {
    pub(super) fn new(tree: Tree, storage: Storage, progress: Arc<Progress>) -> Self {
        let memory = Arc::new(Semaphore::new(usize::try_from(MEMORY).unwrap_or(usize::MAX)));
        Self { tree, storage, progress, memory }
    }

    /// Whether a file goes in parts.
    pub(super) fn in_parts(&self, found: &Found) -> bool {
        found.size > self.storage.part_len()
    }

    /// Stores a file and returns the digest of what was stored. An upload in parts that fails is aborted.
    pub(super) async fn store(self, found: Found, stop: CancellationToken) -> Result<Sha256, Fault> {
        let digest = if self.in_parts(&found) {
            self.store_in_parts(&found, &stop).await?
        } else {
            unless(&stop, self.store_in_one_piece(&found)).await?
        };
        self.progress.stored_file();
        Ok(digest)
    }

    /// As [`digest`], in turn with others.
    pub(super) async fn digest(self, found: Found, stop: CancellationToken) -> Result<Sha256, Fault> {
        let _held = self.hold(CHUNK).await?;
        digest(self.tree, found, stop).await
    }

    async fn store_in_one_piece(&self, found: &Found) -> Result<Sha256, Fault> {
        let _held = self.hold(found.size).await?;
        let (bytes, digest) = {
            let (tree, found) = (self.tree.clone(), found.clone());
            blocking(move || {
                let mut reader = Reader::open(&tree, &found)?;
                let bytes = reader.next(found.size)?.unwrap_or_default();
                Ok((bytes, reader.finish()?))
            })
            .await?
        };
        let sent = bytes.len();
        self.storage.put(&found.key, bytes, &found.content_type()).await?;
        self.progress.sent(sent);
        Ok(digest)
    }

    async fn store_in_parts(&self, found: &Found, stop: &CancellationToken) -> Result<Sha256, Fault> {
        let reader = {
            let (tree, found) = (self.tree.clone(), found.clone());
            unless(stop, blocking(move || Reader::open(&tree, &found))).await?
        };
        let begin = async { Ok(self.storage.put_in_parts(&found.key, &found.content_type()).await?) };
        let mut upload = unless(stop, begin).await?;
        let mut parts = JoinSet::new();
        let sending = async {
            let digest = self.send_parts(found, reader, &mut *upload, &mut parts).await?;
            upload.complete().await.map_err(|error| self.storage.write_error(&found.key, &error))?;
            Ok(digest)
        };
        let sent = unless(stop, sending).await;
        if sent.is_err() {
            parts.shutdown().await;
            // If even this fails, another attempt, a removal or the store's rule for incomplete uploads is what is left.
            let _ = timeout(ABORT_FOR, upload.abort()).await;
        }
        sent
    }

    /// Sends all parts, as many at once as the memory allows, while the next one is read.
    async fn send_parts(
        &self,
        found: &Found,
        mut reader: Reader,
        upload: &mut dyn MultipartUpload,
        parts: &mut JoinSet<object_store::Result<()>>,
    ) -> Result<Sha256, Fault> {
        let part_len = self.storage.part_len().max(found.size.div_ceil(MAX_PARTS));
        let arrived = |part: Result<object_store::Result<()>, _>| match part {
            Ok(sent) => sent.map_err(|error| self.storage.write_error(&found.key, &error).into()),
            Err(_) => Err(Fault::Interrupted),
        };
        while reader.left() > 0 {
            let held = self.hold(part_len.min(reader.left())).await?;
            let (returned, part) = blocking(move || {
                let part = reader.next(part_len)?.unwrap_or_default();
                Ok((reader, part))
            })
            .await?;
            reader = returned;
            while let Some(part) = parts.try_join_next() {
                arrived(part)?;
            }
            let (sent, progress) = (part.len(), self.progress.clone());
            let sending = upload.put_part(part.into());
            parts.spawn(async move {
                sending.await?;
                progress.sent(sent);
                drop(held);
                Ok(())
            });
        }
        while let Some(part) = parts.join_next().await {
            arrived(part)?;
        }
        blocking(move || reader.finish()).await
    }

    /// Waits for room for `len` bytes, in turn with others. Nobody waits for more while holding some, so all get theirs.
    async fn hold(&self, len: u64) -> Result<OwnedSemaphorePermit, Fault> {
        let permits = u32::try_from(len).unwrap_or(MEMORY).min(MEMORY);
        // It is never closed.
        self.memory.clone().acquire_many_owned(permits).await.map_err(|_| Fault::Interrupted)
    }
}

/// The digest of a file, with nothing stored.
pub(super) async fn digest(tree: Tree, found: Found, stop: CancellationToken) -> Result<Sha256, Fault> {
    blocking(move || {
        let mut reader = Reader::open(&tree, &found)?;
        while reader.next(CHUNK)?.is_some() {
            if stop.is_cancelled() {
                return Err(Fault::Interrupted);
            }
        }
        reader.finish()
    })
    .await
}

async fn unless<T>(stop: &CancellationToken, act: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        done = act => done,
        () = stop.cancelled() => Err(Fault::Interrupted),
    }
}

/// Does what blocks beside the event loop.
pub(super) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(act).await.map_err(|_| Fault::Interrupted)?
}

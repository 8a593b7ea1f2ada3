//! One file on its way into the store: read once, hashed on the way, held in memory a part at a time.

use super::{fault::Fault, memory::Memory, progress::Progress, reader::Reader, tree::Tree, walk::Found};
use crate::{storage::Storage, workflow::digest::Sha256};
use object_store::MultipartUpload;
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// What is read at once where the store does not ask for parts of a size.
pub(super) const CHUNK: u64 = 1024 * 1024;
/// S3 takes at most 10,000 parts. So parts of 8 MiB have to grow from 78 GiB on, and [`Memory`] is enough for files of
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
    memory: Memory,
}

impl Sender {
    pub(super) fn new(tree: Tree, storage: Storage, progress: Arc<Progress>) -> Self {
        Self { tree, storage, progress, memory: Memory::new() }
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
        let _room = self.memory.room(CHUNK).await?;
        digest(self.tree, found, stop).await
    }

    async fn store_in_one_piece(&self, found: &Found) -> Result<Sha256, Fault> {
        let room = self.memory.room(found.size).await?;
        let (payload, digest) = {
            let (tree, found) = (self.tree.clone(), found.clone());
            blocking(move || {
                let mut reader = Reader::open(&tree, &found)?;
                let payload = room.fill(found.size, |block| reader.fill(block))?;
                Ok((payload, reader.finish()?))
            })
            .await?
        };
        self.storage.put_payload(&found.key, payload, &found.content_type()).await?;
        self.progress.sent(found.size);
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
            let len = part_len.min(reader.left());
            let room = self.memory.room(len).await?;
            let (returned, part) = blocking(move || {
                let part = room.fill(len, |block| reader.fill(block))?;
                Ok((reader, part))
            })
            .await?;
            reader = returned;
            while let Some(part) = parts.try_join_next() {
                arrived(part)?;
            }
            let progress = self.progress.clone();
            let sending = upload.put_part(part);
            parts.spawn(async move {
                sending.await?;
                progress.sent(len);
                Ok(())
            });
        }
        while let Some(part) = parts.join_next().await {
            arrived(part)?;
        }
        blocking(move || reader.finish()).await
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

//! One file on its way into the store: read once, hashed on the way, held in memory a part at a time.

use super::{fault::Fault, progress::Progress, tree::Tree, walk::Found};
use crate::{
    storage::Storage,
    workflow::digest::{Hasher, Sha256},
};
use bytes::{Bytes, BytesMut};
use object_store::WriteMultipart;
use std::{fs::Metadata, io, os::unix::fs::MetadataExt as _, path::Path};
use tokio::{fs::File, io::AsyncReadExt as _};
use tokio_util::sync::CancellationToken;

/// What is read at once where the store does not ask for parts of a size.
pub(super) const CHUNK: u64 = 1024 * 1024;
/// S3 takes at most 10,000 parts; so parts of 8 MiB have to grow from 70 GiB on.
const MAX_PARTS: u64 = 9_000;

/// Stores a file and returns the digest of what was stored. An upload in parts that fails is aborted.
pub(super) async fn store(
    tree: &Tree,
    found: &Found,
    storage: &Storage,
    stop: &CancellationToken,
    progress: &Progress,
) -> Result<Sha256, Fault> {
    let reader = Reader::open(tree, found).await?;
    let digest = if found.size <= storage.part_len() {
        in_one_piece(reader, found, storage, stop, progress).await
    } else {
        in_parts(reader, found, storage, stop, progress).await
    };
    digest.inspect(|_| progress.stored_file())
}

/// The digest of a file, with nothing stored.
pub(super) async fn digest(tree: &Tree, found: &Found, stop: &CancellationToken) -> Result<Sha256, Fault> {
    let mut reader = Reader::open(tree, found).await?;
    while let Some(_chunk) = reader.next(CHUNK).await? {
        if stop.is_cancelled() {
            return Err(Fault::Interrupted);
        }
    }
    reader.finish().await
}

async fn in_one_piece(
    mut reader: Reader,
    found: &Found,
    storage: &Storage,
    stop: &CancellationToken,
    progress: &Progress,
) -> Result<Sha256, Fault> {
    let bytes = reader.next(found.size).await?.unwrap_or_default();
    let digest = reader.finish().await?;
    let (sent, content_type) = (bytes.len(), found.content_type());
    tokio::select! {
        put = storage.put(&found.key, bytes, &content_type) => put?,
        () = stop.cancelled() => return Err(Fault::Interrupted),
    }
    progress.sent(sent);
    Ok(digest)
}

async fn in_parts(
    mut reader: Reader,
    found: &Found,
    storage: &Storage,
    stop: &CancellationToken,
    progress: &Progress,
) -> Result<Sha256, Fault> {
    let part_len = storage.part_len().max(found.size.div_ceil(MAX_PARTS));
    let upload = storage.put_in_parts(&found.key, &found.content_type()).await?;
    let chunk = usize::try_from(part_len).unwrap_or(usize::MAX);
    let mut write = WriteMultipart::new_with_chunk_size(upload, chunk);
    let sending = async {
        while let Some(part) = reader.next(part_len).await? {
            // One part is sent while the next is read.
            write.wait_for_capacity(1).await.map_err(|error| storage.write_error(&found.key, &error))?;
            progress.sent(part.len());
            write.put(part);
        }
        reader.finish().await
    };
    let sent = tokio::select! {
        sent = sending => sent,
        () = stop.cancelled() => Err(Fault::Interrupted),
    };
    match sent {
        Ok(digest) => {
            // Aborts by itself when it fails.
            write.finish().await.map_err(|error| storage.write_error(&found.key, &error))?;
            Ok(digest)
        }
        Err(fault) => {
            // If even this fails, the store's rule for incomplete uploads is what is left.
            let _ = write.abort().await;
            Err(fault)
        }
    }
}

/// Reads a file that must stay as it was found.
pub(super) struct Reader {
    file: File,
    as_found: Metadata,
    left: u64,
    hasher: Hasher,
    path: String,
}

impl Reader {
    pub(super) async fn open(tree: &Tree, found: &Found) -> Result<Self, Fault> {
        let (tree, path) = (tree.clone(), found.path());
        let opened = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || {
                let file = tree.file(Path::new(&path))?;
                let metadata = file.metadata()?;
                Ok((file, metadata))
            })
        };
        let opened: io::Result<_> = opened.await.map_err(|_| Fault::Interrupted)?;
        // It could be opened a moment ago.
        let Ok((file, as_found)) = opened else { return Err(Fault::Changed { path }) };
        if !as_found.is_file() || as_found.len() != found.size {
            return Err(Fault::Changed { path });
        }
        Ok(Self { file: File::from_std(file), left: as_found.len(), as_found, hasher: Hasher::default(), path })
    }

    /// The next `len` bytes, or all that are left; none at the end.
    pub(super) async fn next(&mut self, len: u64) -> Result<Option<Bytes>, Fault> {
        let len = len.min(self.left);
        if len == 0 {
            return Ok(None);
        }
        let mut part = BytesMut::with_capacity(usize::try_from(len).unwrap_or(usize::MAX));
        let mut source = (&mut self.file).take(len);
        while source.limit() > 0 {
            match source.read_buf(&mut part).await {
                Ok(0) => return Err(Fault::Changed { path: self.path.clone() }),
                Ok(_) => {}
                Err(source) => return Err(Fault::Unreadable { path: self.path.clone(), source }),
            }
        }
        self.left -= len;
        self.hasher.update(&part);
        Ok(Some(part.freeze()))
    }

    /// The digest, if the file is still what it was.
    pub(super) async fn finish(mut self) -> Result<Sha256, Fault> {
        let unreadable = |source| Fault::Unreadable { path: self.path.clone(), source };
        let more = self.file.read(&mut [0]).await.map_err(unreadable)?;
        let now = self.file.metadata().await.map_err(unreadable)?;
        let same = |of: fn(&Metadata) -> i64| of(&now) == of(&self.as_found);
        if more > 0 || now.len() != self.as_found.len() || !same(Metadata::mtime) || !same(Metadata::mtime_nsec) {
            return Err(Fault::Changed { path: self.path });
        }
        Ok(self.hasher.finish())
    }
}

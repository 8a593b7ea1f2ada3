//! Writing, copying and removing objects.

use super::{MfsStore, STORE, failed, stage::Staged};
use crate::storage::ipfs::{
    failure::{Complaint, Failure},
    upload::Upload,
};
use async_trait::async_trait;
use object_store::{
    CopyMode, Error, MultipartUpload, PutMode, PutPayload, PutResult, Result, UpdateVersion, UploadPart, path::Path,
};
use std::fmt;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

impl MfsStore {
    pub(super) async fn put_whole(&self, location: &Path, payload: PutPayload, mode: PutMode) -> Result<PutResult> {
        let path = self.path(location)?;
        let expected = match &mode {
            PutMode::Update(UpdateVersion { e_tag: Some(e_tag), version: None }) => Some(e_tag.clone()),
            PutMode::Update(_) => {
                let source = "an update needs the e_tag, and there are no versions".into();
                return Err(Error::NotSupported { source });
            }
            PutMode::Create | PutMode::Overwrite => None,
        };
        let write = async move |mut upload: Upload| {
            upload.file("object").await?;
            for bytes in payload {
                upload.bytes(bytes).await?;
            }
            upload.end().await
        };
        let staged = self.stage(write).await.map_err(|failure| failed(location, failure))?;
        let cid = staged.cid.clone();
        let _only_one = if expected.is_some() { Some(self.updating.lock().await) } else { None };
        if let Some(expected) = expected {
            let found = self.rpc.stat(&path).await.map_err(|failure| failed(location, failure))?;
            let found = found.map(|found| found.cid);
            if found.as_ref() != Some(&expected) {
                self.unstage(staged).await.map_err(|failure| failed(location, failure))?;
                let found = found.unwrap_or_else(|| "nothing".to_owned());
                let source = format!("{found} is there instead of {expected}").into();
                return Err(Error::Precondition { path: location.to_string(), source });
            }
        }
        let entered = self.enter(staged, &path, mode != PutMode::Create).await;
        entered.map_err(|failure| not_entered(location, failure))?;
        Ok(put(cid))
    }

    pub(super) async fn copy_object(&self, from: &Path, to: &Path, mode: CopyMode) -> Result<()> {
        let target = self.path(to)?;
        let source = self.stat_object(from).await?;
        let copied = self.copy_cid(&source.cid, &target, mode == CopyMode::Overwrite).await;
        copied.map_err(|failure| not_entered(to, failure))
    }

    pub(super) async fn remove(&self, location: &Path) -> Result<()> {
        self.stat_object(location).await?;
        self.rpc.remove_path(&self.path(location)?).await.map_err(|failure| failed(location, failure))
    }

    pub(super) async fn put_parts(&self, location: &Path) -> Result<Box<dyn MultipartUpload>> {
        let path = self.path(location)?;
        // Each part in it is awaited by whoever gave it: he bounds how many there are.
        let (parts, queue) = mpsc::unbounded_channel();
        let abort = CancellationToken::new();
        let (store, aborted) = (self.clone(), abort.clone());
        let sending = tokio::spawn(async move {
            tokio::select! {
                staged = store.stage(|upload| send_parts(upload, queue)) => staged,
                () = aborted.cancelled() => Err(Failure::Broken),
            }
        });
        let (store, location) = (self.clone(), location.clone());
        let sending = Some(sending);
        let guard = abort.clone().drop_guard();
        Ok(Box::new(MfsUpload { store, location, path, parts: Some(parts), sending, abort, _guard: guard }))
    }
}

fn put(cid: String) -> PutResult {
    PutResult { e_tag: Some(cid), version: None, extensions: Default::default() }
}

fn not_entered(location: &Path, failure: Failure) -> Error {
    if failure.is(Complaint::Exists) {
        return Error::AlreadyExists { path: location.to_string(), source: failure.into() };
    }
    failed(location, failure)
}

/// A part, and whom to tell that it was sent; none: there are no more.
type Queued = Option<(PutPayload, oneshot::Sender<()>)>;

/// Sends parts in the order in which they were given. If nobody says that there are no more, there is no end.
async fn send_parts(mut upload: Upload, mut queue: mpsc::UnboundedReceiver<Queued>) -> Result<(), Failure> {
    upload.file("object").await?;
    while let Some(queued) = queue.recv().await {
        let Some((payload, sent)) = queued else { return upload.end().await };
        for bytes in payload {
            upload.bytes(bytes).await?;
        }
        // Whoever does not wait for it has no use for the answer.
        let _ = sent.send(());
    }
    Err(Failure::Broken)
}

/// A large object on its way, in one request.
struct MfsUpload {
    store: MfsStore,
    location: Path,
    path: String,
    /// None: completed or aborted.
    parts: Option<mpsc::UnboundedSender<Queued>>,
    sending: Option<JoinHandle<Result<Staged, Failure>>>,
    abort: CancellationToken,
    _guard: DropGuard,
}

impl fmt::Debug for MfsUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MfsUpload").field(&self.path).finish()
    }
}

#[async_trait]
impl MultipartUpload for MfsUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (sent, done) = oneshot::channel();
        if let Some(parts) = &self.parts {
            // If nobody takes it, `done` says so.
            let _ = parts.send(Some((data, sent)));
        }
        let ended = || Error::Generic { store: STORE, source: "the upload has ended".into() };
        Box::pin(async move { done.await.map_err(|_| ended()) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let ended = || Error::Generic { store: STORE, source: "the upload has ended".into() };
        let (Some(parts), Some(sending)) = (self.parts.take(), self.sending.take()) else { return Err(ended()) };
        // If it failed already, it says so below.
        let _ = parts.send(None);
        let staged = sending.await.map_err(|_| ended())?.map_err(|failure| failed(&self.location, failure))?;
        let cid = staged.cid.clone();
        let entered = self.store.enter(staged, &self.path, true).await;
        entered.map_err(|failure| not_entered(&self.location, failure))?;
        Ok(put(cid))
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts = None;
        let Some(sending) = self.sending.take() else { return Ok(()) };
        self.abort.cancel();
        // Without its end the node makes nothing of it; if it had come to one all the same, that is removed.
        match sending.await {
            Ok(Ok(staged)) => self.store.unstage(staged).await.map_err(|failure| failed(&self.location, failure)),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}

//! A store for tests that fails at a chosen call, and watches how many calls are in progress at once.

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// Counts calls, and fails those from number `fail_at` on (or only that one).
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub calls: AtomicUsize,
    pub fail_at: Option<usize>,
    /// Also after the first failure.
    pub stays_down: bool,
    /// Whether a failing write takes effect all the same: an acknowledgement that got lost.
    pub takes_effect: bool,
    pub writing: AtomicUsize,
    pub most_writing: AtomicUsize,
    pub unfinished_uploads: AtomicUsize,
}

impl Script {
    fn fails(&self) -> bool {
        let call = self.calls.fetch_add(1, SeqCst);
        self.fail_at.is_some_and(|at| if self.stays_down { call >= at } else { call == at })
    }

    fn error() -> Error {
        Error::Generic { store: "faulty", source: "503 as the test wants it".into() }
    }

    fn check(&self) -> Result<()> {
        if self.fails() { Err(Self::error()) } else { Ok(()) }
    }
}

#[derive(Debug)]
pub(crate) struct Faulty {
    pub store: Arc<dyn ObjectStore>,
    pub script: Arc<Script>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let now = self.script.writing.fetch_add(1, SeqCst) + 1;
        self.script.most_writing.fetch_max(now, SeqCst);
        tokio::task::yield_now().await;
        let fails = self.script.fails();
        let done = if !fails || self.script.takes_effect {
            self.store.put_opts(location, payload, options).await
        } else {
            Err(Script::error())
        };
        self.script.writing.fetch_sub(1, SeqCst);
        if fails { Err(Script::error()) } else { done }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.script.check()?;
        self.script.unfinished_uploads.fetch_add(1, SeqCst);
        let upload = self.store.put_multipart_opts(location, options).await?;
        Ok(Box::new(FaultyUpload { upload, script: self.script.clone(), ended: false }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.script.check()?;
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (store, script) = (self.store.clone(), self.script.clone());
        locations
            .then(move |location| {
                let (store, script) = (store.clone(), script.clone());
                async move {
                    script.check()?;
                    object_store::ObjectStoreExt::delete(&store, &location?).await.map(|()| Path::default())
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.script.check() {
            Ok(()) => self.store.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.script.check()?;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.script.check()?;
        self.store.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    upload: Box<dyn MultipartUpload>,
    script: Arc<Script>,
    ended: bool,
}

impl FaultyUpload {
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.script.unfinished_uploads.fetch_sub(1, SeqCst);
        }
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, script) = (self.upload.put_part(data), self.script.clone());
        Box::pin(async move {
            script.check()?;
            part.await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let fails = self.script.fails();
        if fails && !self.script.takes_effect {
            return Err(Script::error());
        }
        let done = self.upload.complete().await;
        self.end();
        if fails { Err(Script::error()) } else { done }
    }

    async fn abort(&mut self) -> Result<()> {
        self.end();
        self.upload.abort().await
    }
}

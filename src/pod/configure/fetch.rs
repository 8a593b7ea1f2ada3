//! One file of the document into one file of the tree, whatever its URL's scheme, within the workflow's limits.

use super::{
    ConfigureTask,
    fault::FetchError,
    guard::{Guard, Lookup},
    http::Http,
    journal::{Journal, shown},
    local,
    policy::FetchPolicy,
    retry::{Backoff, Jitter},
    sink::{Caps, Sink, Stored},
};
use crate::{pod::provisioned::Provisioned, workflow::document::FileRef};
use reqwest::Url;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::time::Instant;

/// Fetches files and keeps the sums.
pub(super) struct Fetcher<'a> {
    policy: FetchPolicy,
    documents_dir: PathBuf,
    local_folder: Option<PathBuf>,
    guard: Guard,
    /// Made for the first URL that needs it: a workflow of inline files needs no CA certificates.
    http: Option<Http>,
    jitter: Jitter,
    deadline: Instant,
    journal: Journal<'a>,
    /// Bytes in place, DDOs and raw code included.
    bytes: u64,
    /// What is in place.
    placed: Provisioned,
}

/// What may be special about a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its mode in the end.
    pub(super) mode: u32,
    /// A limit below the policy's.
    pub(super) max_bytes: u64,
    /// A limit below the policy's.
    pub(super) max_retries: u32,
}

impl Wanted {
    /// An ordinary file.
    pub(super) fn file(mode: u32) -> Self {
        Self { mode, max_bytes: u64::MAX, max_retries: u32::MAX }
    }
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(task: &ConfigureTask, lookup: Arc<dyn Lookup>, journal: Journal<'a>) -> Self {
        let now = Instant::now();
        Self {
            guard: Guard::new(&task.policy, lookup),
            policy: task.policy.clone(),
            documents_dir: task.documents_dir.clone(),
            local_folder: task.local_folder.clone(),
            http: None,
            jitter: Jitter::seeded(&task.job),
            // A deadline beyond what the clock can say is none; a year is.
            deadline: now.checked_add(task.policy.total()).unwrap_or(now + std::time::Duration::from_secs(31_536_000)),
            journal,
            bytes: 0,
            placed: Provisioned::new(task.layout.clone()),
        }
    }

    pub(super) fn journal(&mut self) -> &mut Journal<'a> {
        &mut self.journal
    }

    /// Bytes in place.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is in place.
    pub(super) fn placed(&self) -> &Provisioned {
        &self.placed
    }

    /// Fetches `file` to `target`, whose folder exists. `what` names it in the log.
    pub(super) async fn fetch(
        &mut self,
        file: &FileRef,
        target: &Path,
        wanted: Wanted,
        what: &str,
    ) -> Result<Stored, FetchError> {
        let seconds = self.policy.total_ms / 1000;
        // Dropping the work drops its sink, and that removes the unfinished file.
        let work = tokio::time::timeout_at(self.deadline, self.transfer(file, target, wanted));
        let (stored, from, retries) = work.await.map_err(|_| FetchError::TimedOut(seconds))??;
        self.bytes = self.bytes.saturating_add(stored.bytes);
        let Stored { bytes, sha256 } = stored;
        self.placed.add(target, bytes, sha256);
        self.journal.line(format!("{what}: {from}, {bytes} bytes, sha256 {sha256}, {retries} retries"));
        Ok(stored)
    }

    /// Writes `bytes` to `target`, under the same limits as what is fetched.
    pub(super) async fn write(&mut self, bytes: &[u8], target: &Path, mode: u32, what: &str) -> Result<(), FetchError> {
        let mut sink = Sink::create(target, mode, self.caps(u64::MAX)).await?;
        sink.write(bytes).await?;
        let Stored { bytes, sha256 } = sink.commit().await?;
        self.placed.add(target, bytes, sha256);
        self.bytes = self.bytes.saturating_add(bytes);
        self.journal.line(format!("{what}: {bytes} bytes, sha256 {sha256}"));
        Ok(())
    }

    async fn transfer(
        &mut self,
        file: &FileRef,
        target: &Path,
        wanted: Wanted,
    ) -> Result<(Stored, String, u32), FetchError> {
        let url: Url = file.url.parse().map_err(|error| FetchError::InvalidUrl(format!("{error}")))?;
        let mut sink = Sink::create(target, wanted.mode, self.caps(wanted.max_bytes)).await?;
        let mut retries = 0;
        match url.scheme() {
            "inline" => local::copy(local::inline(&self.documents_dir, url.path())?, &mut sink).await?,
            "file" => local::copy(local::file(self.local_folder.as_deref(), file.url.trim())?, &mut sink).await?,
            "http" | "https" => {
                let policy =
                    FetchPolicy { retries: self.policy.retries.min(wanted.max_retries), ..self.policy.clone() };
                let http = match self.http.take() {
                    Some(http) => http,
                    None => Http::new(&policy, self.guard.clone())?,
                };
                let http = self.http.insert(http);
                let backoff = Backoff::new(&policy);
                retries =
                    http.fetch(&url, file.sha256, &mut sink, backoff, &mut self.jitter, &mut self.journal).await?;
            }
            scheme => return Err(FetchError::SchemeNotSupported(scheme.to_owned())),
        }
        let actual = sink.sha256();
        if let Some(expected) = file.sha256.filter(|&expected| expected != actual) {
            return Err(FetchError::DigestMismatch { expected, actual, resumed: false });
        }
        Ok((sink.commit().await?, shown(&url), retries))
    }

    fn caps(&self, max_bytes: u64) -> Caps {
        let policy = &self.policy;
        Caps { file: policy.max_file_bytes.min(max_bytes), total: policy.max_total_bytes, used: self.bytes }
    }
}

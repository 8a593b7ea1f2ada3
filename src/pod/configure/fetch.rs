//! One file of the document into one file of the tree, whatever its URL's scheme, within the workflow's limits.

use super::{
    ConfigureTask, arweave,
    fault::FetchError,
    guard::{Guard, Lookup},
    http::{Ask, Http},
    ipfs,
    journal::{Journal, shown},
    keys::Keys,
    local,
    policy::FetchPolicy,
    provider::{Desk, Service},
    retry::{Backoff, Jitter},
    s3,
    sink::{Caps, Sink, Stored},
};
use crate::{
    pod::provisioned::Provisioned,
    workflow::{
        digest::Sha256,
        document::{FileRef, Remote},
    },
};
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
    /// Made for the first `ipfs:` URL; it remembers which gateways are of no use.
    gateways: Option<ipfs::Gateways>,
    keys: Keys,
    jitter: Jitter,
    deadline: Instant,
    journal: Journal<'a>,
    /// Bytes in place, DDOs and raw code included.
    bytes: u64,
    /// What is in place.
    placed: Provisioned,
}

/// One file, as its asset has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// Named in the document.
    Url(&'a FileRef),
    /// A provider's, by its number.
    Provider(&'a Service, usize),
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
            gateways: None,
            keys: task.keys.clone(),
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

    /// Fetches `part` to `target`, whose folder exists. `what` names it in the log.
    pub(super) async fn fetch(
        &mut self,
        part: Part<'_>,
        target: &Path,
        wanted: Wanted,
        what: &str,
    ) -> Result<Stored, FetchError> {
        let late = self.late();
        // Dropping the work drops its sink, and that removes the unfinished file.
        let work = tokio::time::timeout_at(self.deadline, self.transfer(part, target, wanted));
        let (stored, from, retries) = work.await.map_err(|_| late)??;
        self.bytes = self.bytes.saturating_add(stored.bytes);
        let Stored { bytes, sha256 } = stored;
        self.placed.add(target, bytes, sha256, None);
        self.journal.line(format!("{what}: {from}, {bytes} bytes, sha256 {sha256}, {retries} retries"));
        Ok(stored)
    }

    /// Counts the file of an earlier stage that `copy` puts at `target`, within what is left of the limits.
    pub(super) async fn place<F: Future<Output = Result<Stored, FetchError>>>(
        &mut self,
        target: &Path,
        stage: u32,
        what: &str,
        copy: impl FnOnce(Caps) -> F,
    ) -> Result<Stored, FetchError> {
        let stored = tokio::time::timeout_at(self.deadline, copy(self.caps(u64::MAX))).await;
        let Stored { bytes, sha256 } = stored.map_err(|_| self.late())??;
        self.bytes = self.bytes.saturating_add(bytes);
        self.placed.add(target, bytes, sha256, Some(stage));
        self.journal.line(format!("{what}: {bytes} bytes, sha256 {sha256}"));
        Ok(Stored { bytes, sha256 })
    }

    /// Finds a provider's service in the DDO of its asset.
    pub(super) async fn service(&mut self, ddo: &[u8], did: &str, remote: &Remote) -> Result<Service, FetchError> {
        let key = match &self.keys.operator {
            Some(Ok(key)) => key.clone(),
            Some(Err(error)) => return Err(FetchError::InvalidOperatorKey(*error)),
            None => return Err(FetchError::NoOperatorKey),
        };
        let late = self.late();
        let http = self.http()?;
        let Self { policy, jitter, journal, .. } = self;
        let mut desk = Desk { http: &http, policy, jitter, journal };
        let work = Service::open(&mut desk, key, ddo, did, remote);
        tokio::time::timeout_at(self.deadline, work).await.map_err(|_| late)?
    }

    /// Writes `bytes` to `target`, under the same limits as what is fetched.
    pub(super) async fn write(&mut self, bytes: &[u8], target: &Path, mode: u32, what: &str) -> Result<(), FetchError> {
        let mut sink = Sink::create(target, mode, self.caps(u64::MAX)).await?;
        sink.write(bytes).await?;
        let Stored { bytes, sha256 } = sink.commit().await?;
        self.placed.add(target, bytes, sha256, None);
        self.bytes = self.bytes.saturating_add(bytes);
        self.journal.line(format!("{what}: {bytes} bytes, sha256 {sha256}"));
        Ok(())
    }

    async fn transfer(
        &mut self,
        part: Part<'_>,
        target: &Path,
        wanted: Wanted,
    ) -> Result<(Stored, String, u32), FetchError> {
        let mut sink = Sink::create(target, wanted.mode, self.caps(wanted.max_bytes)).await?;
        let (expected, from, retries) = match part {
            Part::Url(file) => {
                let url: Url = file.url.parse().map_err(|error| FetchError::InvalidUrl(format!("{error}")))?;
                (file.sha256, shown(&url), self.url(file, url, wanted, &mut sink).await?)
            }
            Part::Provider(service, index) => {
                let expected = service.sha256(index);
                let retries = self.ask(&mut service.file(index), expected, wanted, &mut sink).await?;
                (expected, format!("file {index} of its provider"), retries)
            }
        };
        let actual = sink.sha256();
        if let Some(expected) = expected.filter(|&expected| expected != actual) {
            return Err(FetchError::DigestMismatch { expected, actual, resumed: false });
        }
        Ok((sink.commit().await?, from, retries))
    }

    /// Answers how many retries it took.
    async fn url(&mut self, file: &FileRef, mut url: Url, wanted: Wanted, sink: &mut Sink) -> Result<u32, FetchError> {
        let expected = file.sha256;
        match url.scheme() {
            "inline" => local::copy(local::inline(&self.documents_dir, url.path())?, sink).await?,
            "file" => local::copy(local::file(self.local_folder.as_deref(), file.url.trim())?, sink).await?,
            "http" | "https" => return self.ask(&mut url, expected, wanted, sink).await,
            "s3" => {
                let mut object = s3::Object::new(&url, &self.policy.s3, self.keys.s3.as_ref())?;
                return self.ask(&mut object, expected, wanted, sink).await;
            }
            "ipfs" => {
                let gateways = match self.gateways.take() {
                    Some(gateways) => gateways,
                    None => ipfs::Gateways::new(self.http()?, &self.policy, self.jitter.clone())?,
                };
                let gateways = self.gateways.insert(gateways);
                ipfs::fetch(&url, gateways, sink, &mut self.journal).await?;
            }
            "ar" => {
                let http = self.http()?;
                let Self { policy, jitter, journal, .. } = self;
                return arweave::fetch(&url, expected, &http, policy, sink, jitter, journal).await;
            }
            scheme => return Err(FetchError::SchemeNotSupported(scheme.to_owned())),
        }
        Ok(0)
    }

    async fn ask(
        &mut self,
        ask: &mut dyn Ask,
        expected: Option<Sha256>,
        wanted: Wanted,
        sink: &mut Sink,
    ) -> Result<u32, FetchError> {
        let retries = self.policy.retries.min(wanted.max_retries);
        let backoff = Backoff::new(&FetchPolicy { retries, ..self.policy.clone() });
        let http = self.http()?;
        http.fetch(ask, expected, sink, backoff, &mut self.jitter, &mut self.journal).await
    }

    fn http(&mut self) -> Result<Http, FetchError> {
        let http = match self.http.take() {
            Some(http) => http,
            None => Http::new(&self.policy, self.guard.clone())?,
        };
        Ok(self.http.insert(http).clone())
    }

    fn late(&self) -> FetchError {
        FetchError::TimedOut(self.policy.total_ms / 1000)
    }

    fn caps(&self, max_bytes: u64) -> Caps {
        let policy = &self.policy;
        Caps { file: policy.max_file_bytes.min(max_bytes), total: policy.max_total_bytes, used: self.bytes }
    }
}

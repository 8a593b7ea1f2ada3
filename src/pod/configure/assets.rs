//! The document's assets, in the old engine's order and under its names.

use super::{
    ConfigureTask, fault,
    fault::{DiskError, FetchError},
    fetch::{Fetcher, Wanted},
    journal::shown,
    tree,
};
use crate::workflow::{
    AssetId, Code,
    document::{AlgorithmSource, FileRef, Source},
    report::{ConfigureFault, ConfigureReport},
};
use reqwest::Url;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Where the algorithm finds its parameters, beside the data sets' folders.
const CUSTOM_DATA: &str = "algoCustomData.json";
/// Files that are only read.
const READABLE: u32 = 0o644;
/// The algorithm, which images run directly or through an interpreter, and have always found like this.
const EXECUTABLE: u32 = 0o777;
/// The largest DDO, in bytes. Ocean's have a few kB; nothing here reads them.
const MAX_DDO: u64 = 4 << 20;
/// Retries for a DDO. Few, because its failure is tolerated and every asset pays for a registry that is down.
const DDO_RETRIES: u32 = 1;

/// Fetches all inputs and, if nothing failed, the algorithm.
pub(super) async fn provision<'a>(task: &'a ConfigureTask, fetcher: Fetcher<'a>) -> ConfigureReport {
    let mut assets = Assets { task, fetcher, ddos: BTreeSet::new(), faults: Vec::new(), files: 0, bytes: 0 };
    if assets.number_is_allowed() {
        assets.inputs().await;
        if assets.faults.is_empty() {
            assets.algorithm().await;
        }
    }
    assets.tell_publish().await;
    assets.report()
}

struct Assets<'a> {
    task: &'a ConfigureTask,
    fetcher: Fetcher<'a>,
    /// The assets whose DDO was asked for.
    ddos: BTreeSet<AssetId>,
    faults: Vec<ConfigureFault>,
    files: u64,
    bytes: u64,
}

impl Assets<'_> {
    fn number_is_allowed(&mut self) -> bool {
        let document = &self.task.document;
        let algorithm =
            if let AlgorithmSource::Files(source) = &document.algorithm.source { Some(source) } else { None };
        let sources = document.inputs.iter().map(|input| &input.source).chain(algorithm);
        let files: usize = sources.map(|source| if let Source::Urls(urls) = source { urls.len() } else { 0 }).sum();
        let max = self.task.policy.max_files;
        let allowed = u64::try_from(files).is_ok_and(|files| files <= max);
        if !allowed {
            let message = format!("the document names {files} files, a workflow may have {max} here");
            self.fail(Code::DataProvisioningFailed, "TooManyFiles", &message);
        }
        allowed
    }

    async fn inputs(&mut self) {
        let task = self.task;
        // The next number in each folder: an asset that appears twice goes on where it ended the first time.
        let mut numbers = BTreeMap::<&AssetId, usize>::new();
        for input in &task.document.inputs {
            let code = Code::DataProvisioningFailed;
            let id = &input.id;
            if id.as_str() == CUSTOM_DATA {
                let message = format!("an input cannot have the id {CUSTOM_DATA}: a file has that name");
                self.fail(code, "NameTaken", &message);
                continue;
            }
            self.ddo(id, &input.did).await;
            let folder = task.layout.inputs().join(id.as_str());
            if let Err(error) = tree::own_folder(&folder) {
                self.fail(code, error.reason(), &format!("input {id}: {error}"));
                continue;
            }
            let number = numbers.entry(id).or_default();
            let first = *number;
            if let Source::Urls(urls) = &input.source {
                *number += urls.len();
            }
            let name = |position: usize| (first + position).to_string();
            self.files(&input.source, &folder, name, READABLE, code, &format!("input {id}")).await;
        }
    }

    async fn algorithm(&mut self) {
        let task = self.task;
        let code = Code::AlgorithmProvisioningFailed;
        let algorithm = &task.document.algorithm;
        if let Some(data) = algorithm.custom_data.as_ref().filter(|data| !data.is_null()) {
            let target = task.layout.inputs().join(CUSTOM_DATA);
            self.write(data.to_string().as_bytes(), &target, READABLE, CUSTOM_DATA).await;
        }
        if let Some(id) = &algorithm.id {
            self.ddo(id, algorithm.did.as_deref().unwrap_or(id.as_str())).await;
        }
        match &algorithm.source {
            AlgorithmSource::Raw(code) => {
                self.write(code.as_bytes(), &task.layout.algorithm(), EXECUTABLE, "raw code of the algorithm").await;
            }
            AlgorithmSource::Files(source) => {
                let folder = task.layout.transformations();
                let name = |position: usize| if position == 0 { "algorithm".to_owned() } else { position.to_string() };
                self.files(source, &folder, name, EXECUTABLE, code, "algorithm").await;
            }
            AlgorithmSource::Image => self.fetcher.journal().line("algorithm: in its image, nothing to fetch"),
        }
    }

    /// Fetches the files of one asset. Only the first one gets `first_mode`.
    async fn files(
        &mut self,
        source: &Source,
        folder: &Path,
        name: impl Fn(usize) -> String,
        first_mode: u32,
        code: Code,
        asset: &str,
    ) {
        let urls = match source {
            Source::Urls(urls) => urls,
            Source::Remote(_) => {
                let message = format!(
                    "{asset}: this engine cannot yet download through a provider ('remote'); name its files by 'url'"
                );
                return self.fail(code, "RemoteNotSupported", &message);
            }
        };
        if urls.is_empty() {
            return self.fail(code, "NothingToFetch", &format!("{asset}: it has no file; give it at least one url"));
        }
        for (position, file) in urls.iter().enumerate() {
            let name = name(position);
            let what = format!("{asset}, file {name}");
            let mode = if position == 0 { first_mode } else { READABLE };
            match self.fetcher.fetch(file, &folder.join(&name), Wanted::file(mode), &what).await {
                Ok(stored) => {
                    self.files += 1;
                    self.bytes = self.bytes.saturating_add(stored.bytes);
                }
                // The rest of this asset is of no use without it; the other assets are still looked at.
                Err(error) => {
                    let from = file.url.parse().map(|url| format!(" ({})", shown(&url))).unwrap_or_default();
                    return self.fail(code, error.reason(), &format!("{what}{from}: {error}"));
                }
            }
        }
    }

    /// Asks for an asset's DDO, once. Without it the algorithm merely knows less, so a failure is only logged.
    async fn ddo(&mut self, id: &AssetId, did: &str) {
        let Some(base) = &self.task.document.metadata_uri else { return };
        if !self.ddos.insert(id.clone()) {
            return;
        }
        let what = format!("DDO of {id}");
        let result = match ddo_url(base, did) {
            Some(url) => {
                let file = FileRef { url: url.into(), sha256: None };
                let target: PathBuf = self.task.layout.ddos().join(id.as_str());
                let wanted = Wanted { mode: READABLE, max_bytes: MAX_DDO, max_retries: DDO_RETRIES };
                self.fetcher.fetch(&file, &target, wanted, &what).await.map(drop)
            }
            None => Err(FetchError::InvalidUrl("metadataUri is not an http: or https: URL".to_owned())),
        };
        if let Err(error) = result {
            self.fetcher.journal().line(format!("{what}: {error}; going on without it"));
        }
    }

    async fn write(&mut self, bytes: &[u8], target: &Path, mode: u32, what: &str) {
        if let Err(error) = self.fetcher.write(bytes, target, mode, what).await {
            self.fail(Code::AlgorithmProvisioningFailed, error.reason(), &format!("{what}: {error}"));
        }
    }

    /// The manifest names what the algorithm was given, also where not all of it came.
    async fn tell_publish(&mut self) {
        let (placed, path) = (self.fetcher.placed().clone(), self.task.layout.provisioned());
        let written = tokio::task::spawn_blocking(move || placed.write()).await;
        let written = written.map_err(std::io::Error::other).flatten();
        if let Err(error) = written.map_err(DiskError::while_doing(format!("writing {}", path.display()))) {
            self.fail(Code::DataProvisioningFailed, error.reason(), &error.to_string());
        }
    }

    fn fail(&mut self, code: Code, reason: &str, message: &str) {
        self.fetcher.journal().line(format!("failed: {message} [{reason}]"));
        self.faults.push(fault(code, reason, message));
    }

    /// The first fault is the one reported; the log has all of them.
    fn report(mut self) -> ConfigureReport {
        let further = self.faults.len().saturating_sub(1);
        let mut faults = self.faults.into_iter();
        let fault = faults.next().map(|mut first| {
            if further > 0 {
                first.message = format!("{} ({further} more: see configure.log)", first.message);
            }
            first
        });
        let (files, bytes, all) = (self.files, self.bytes, self.fetcher.bytes());
        let end = if fault.is_some() { "failed" } else { "done" };
        self.fetcher.journal().line(format!("configure: {end}, {files} files fetched, {all} bytes in place"));
        ConfigureReport { fault, files, bytes }
    }
}

/// `<metadataUri>/api/aquarius/assets/ddo/<did>`. A query of the base (an access key, say) stays its query.
fn ddo_url(base: &str, did: &str) -> Option<Url> {
    let mut url: Url = base.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let path = format!("{}/api/aquarius/assets/ddo/{did}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ddo_lies_below_the_metadata_uri_as_it_always_did() {
        let url = |base: &str| ddo_url(base, "did:op:aa").map(String::from);
        let expected = Some("https://aquarius.example/api/aquarius/assets/ddo/did:op:aa".to_owned());
        assert_eq!(url("https://aquarius.example"), expected);
        assert_eq!(url("https://aquarius.example/"), expected);
        assert_eq!(url("http://h/x?key=k").unwrap(), "http://h/x/api/aquarius/assets/ddo/did:op:aa?key=k");
        assert_eq!((url("aquarius.example"), url("file:///etc"), url("")), (None, None, None));
    }
}

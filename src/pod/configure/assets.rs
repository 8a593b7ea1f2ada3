//! The document's assets, in the old engine's order and under its names.

use super::{
    ConfigureTask,
    earlier::Bring,
    fault,
    fault::{DiskError, FetchError},
    fetch::{Fetcher, Part, Wanted},
    journal::shown,
    provider::Service,
    tree,
};
use crate::workflow::{
    AssetId, Code,
    document::{AlgorithmSource, FileRef, Remote, Source},
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
/// The largest DDO, in bytes. Ocean's have a few kB.
const MAX_DDO: u64 = 4 << 20;
/// Retries for a DDO that is not needed. Few, because every asset pays for a registry that is down.
const DDO_RETRIES: u32 = 1;

/// Fetches all inputs and, if nothing failed, the algorithm.
pub(super) async fn provision<'a>(task: &'a ConfigureTask, fetcher: Fetcher<'a>) -> ConfigureReport {
    let mut assets = Assets { task, fetcher, ddos: BTreeSet::new(), faults: Vec::new(), named: 0, files: 0, bytes: 0 };
    if assets.number_is_allowed() {
        assets.inputs().await;
        if assets.faults.is_empty() {
            assets.algorithm().await;
        }
    }
    assets.tell_publish().await;
    assets.report()
}

/// An asset whose files are wanted.
struct Asset<'a> {
    id: Option<&'a AssetId>,
    did: &'a str,
    what: String,
    code: Code,
    /// The mode of its first file.
    first_mode: u32,
}

struct Assets<'a> {
    task: &'a ConfigureTask,
    fetcher: Fetcher<'a>,
    /// The assets whose DDO was asked for.
    ddos: BTreeSet<AssetId>,
    faults: Vec<ConfigureFault>,
    /// Files that the document names, and those that providers were found to have.
    named: u64,
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
        self.named = u64::try_from(files).unwrap_or(u64::MAX);
        let allowed = self.named <= max;
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
            if !matches!(input.source, Source::Earlier(_)) {
                self.ddo(id, &input.did, matches!(input.source, Source::Remote(_))).await;
            }
            let folder = task.layout.inputs().join(id.as_str());
            if let Err(error) = tree::own_folder(&folder) {
                self.fail(code, error.reason(), &format!("input {id}: {error}"));
                continue;
            }
            if let Source::Earlier(stage) = input.source {
                self.outputs(stage, id, &folder).await;
                continue;
            }
            let number = numbers.entry(id).or_default();
            let first = *number;
            let name = |position: usize| (first + position).to_string();
            let asset =
                Asset { id: Some(id), did: &input.did, what: format!("input {id}"), code, first_mode: READABLE };
            *number += self.files(&asset, &input.source, &folder, name).await;
        }
    }

    /// Copies what an earlier stage put out, under the names that it gave.
    async fn outputs(&mut self, stage: u32, id: &AssetId, folder: &Path) {
        let (max, what) = (self.task.policy.max_files, format!("input {id}"));
        let bring = Bring { task: self.task, stage, folder, room: max.saturating_sub(self.named), what: &what };
        match bring.all(&mut self.fetcher).await {
            Ok(brought) => {
                self.named = self.named.saturating_add(brought.entries);
                self.files += brought.files;
                self.bytes = self.bytes.saturating_add(brought.bytes);
            }
            Err(error) => self.fail(Code::DataProvisioningFailed, error.reason(), &format!("{what}: {error}")),
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
        let did = algorithm.did.as_deref().unwrap_or_default();
        if let Some(id) = &algorithm.id {
            self.ddo(id, did, matches!(algorithm.source, AlgorithmSource::Files(Source::Remote(_)))).await;
        }
        match &algorithm.source {
            AlgorithmSource::Raw(code) => {
                self.write(code.as_bytes(), &task.layout.algorithm(), EXECUTABLE, "raw code of the algorithm").await;
            }
            AlgorithmSource::Files(source) => {
                let folder = task.layout.transformations();
                let name = |position: usize| if position == 0 { "algorithm".to_owned() } else { position.to_string() };
                let id = algorithm.id.as_ref();
                let asset = Asset { id, did, what: "algorithm".to_owned(), code, first_mode: EXECUTABLE };
                self.files(&asset, source, &folder, name).await;
            }
            AlgorithmSource::Image => self.fetcher.journal().line("algorithm: in its image, nothing to fetch"),
        }
    }

    /// Fetches the files of one asset. Answers how many it has.
    async fn files(
        &mut self,
        asset: &Asset<'_>,
        source: &Source,
        folder: &Path,
        name: impl Fn(usize) -> String,
    ) -> usize {
        let Asset { what, code, .. } = asset;
        let service;
        let parts: Vec<Part<'_>> = match source {
            Source::Earlier(_) => Vec::new(),
            Source::Urls(urls) => urls.iter().map(Part::Url).collect(),
            Source::Remote(remote) => match self.service(asset, remote).await {
                Ok(found) => {
                    service = found;
                    (0..service.len()).map(|index| Part::Provider(&service, index)).collect()
                }
                Err(error) => {
                    self.fail(*code, error.reason(), &format!("{what}: {error}"));
                    return 0;
                }
            },
        };
        if parts.is_empty() {
            self.fail(*code, "NothingToFetch", &format!("{what}: it has no file; give it at least one url"));
        }
        for (position, part) in parts.iter().enumerate() {
            let name = name(position);
            let what = format!("{what}, file {name}");
            let mode = if position == 0 { asset.first_mode } else { READABLE };
            match self.fetcher.fetch(*part, &folder.join(&name), Wanted::file(mode), &what).await {
                Ok(stored) => {
                    self.files += 1;
                    self.bytes = self.bytes.saturating_add(stored.bytes);
                }
                // The rest of this asset is of no use without it; the other assets are still looked at.
                Err(error) => {
                    let url = if let Part::Url(file) = part { file.url.parse().ok() } else { None };
                    let from = url.map(|url| format!(" ({})", shown(&url))).unwrap_or_default();
                    self.fail(*code, error.reason(), &format!("{what}{from}: {error}"));
                    break;
                }
            }
        }
        parts.len()
    }

    /// What a provider has for an asset; its files count as if the document had named them.
    async fn service(&mut self, asset: &Asset<'_>, remote: &Remote) -> Result<Service, FetchError> {
        let id = asset.id.ok_or(FetchError::NoDdo)?;
        let ddo = tokio::fs::read(self.task.layout.ddos().join(id.as_str())).await.map_err(|_| FetchError::NoDdo)?;
        let service = self.fetcher.service(&ddo, asset.did, remote).await?;
        self.named = self.named.saturating_add(u64::try_from(service.len()).unwrap_or(u64::MAX));
        let max = self.task.policy.max_files;
        if self.named > max { Err(FetchError::TooManyFiles(max)) } else { Ok(service) }
    }

    /// Asks for an asset's DDO, once. If no provider is to be found in it, the algorithm merely knows less without it; so a
    /// failure is only logged here.
    async fn ddo(&mut self, id: &AssetId, did: &str, needed: bool) {
        let Some(base) = &self.task.document.metadata_uri else { return };
        let target: PathBuf = self.task.layout.ddos().join(id.as_str());
        let asked = !self.ddos.insert(id.clone());
        if asked && (!needed || target.exists()) {
            return;
        }
        let what = format!("DDO of {id}");
        let max_retries = if needed { u32::MAX } else { DDO_RETRIES };
        let result = match ddo_url(base, did) {
            Some(url) => {
                let file = FileRef { url: url.into(), sha256: None };
                let wanted = Wanted { mode: READABLE, max_bytes: MAX_DDO, max_retries };
                self.fetcher.fetch(Part::Url(&file), &target, wanted, &what).await.map(drop)
            }
            None => Err(FetchError::InvalidUrl("metadataUri is not an http: or https: URL".to_owned())),
        };
        if let Err(error) = result {
            let then = if needed { "" } else { "; going on without it" };
            self.fetcher.journal().line(format!("{what}: {error}{then}"));
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

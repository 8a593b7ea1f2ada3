//! The stage as a whole, against servers on loopback that misbehave in every way we know of.

mod assets;
mod buckets;
mod earlier;
mod gateways;
mod guarding;
mod limits;
mod provider;
mod secrecy;
mod server;
mod transfers;

use super::*;
use crate::workflow::{
    digest::Sha256,
    document::{Algorithm, AlgorithmSource, Container, FileRef, Input, Source},
};
use async_trait::async_trait;
use std::{collections::BTreeMap, fs, io, net::IpAddr, os::unix::fs::PermissionsExt, path::Path, sync::Mutex};
use tempfile::TempDir;

/// A workflow without inputs and with raw code, in a folder of its own, which may fetch from loopback.
struct Case {
    dir: TempDir,
    task: ConfigureTask,
    names: Names,
}

/// What a run left behind.
struct Done {
    report: ConfigureReport,
    out: String,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let container = Container {
            image: "python".to_owned(),
            tag: Some("3".to_owned()),
            digest: None,
            entrypoint: "python $ALGO".to_owned(),
        };
        let source = AlgorithmSource::Raw("x".to_owned());
        let algorithm = Algorithm { id: None, did: None, source, container, custom_data: None };
        let document = Document {
            later: Vec::new(),
            inputs: Vec::new(),
            algorithm,
            max_time: None,
            storage_expiry: None,
            wish: Default::default(),
            valid_until: None,
            metadata_uri: None,
            secret: None,
            chain_id: None,
            sha256: Sha256::of(""),
            ignored: Vec::new(),
            notes: Vec::new(),
        };
        let policy = FetchPolicy {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            retries: 3,
            backoff_first_ms: 1,
            backoff_max_ms: 5,
            read_ms: 10_000,
            total_ms: 60_000,
            ..FetchPolicy::default()
        };
        let documents_dir = dir.path().join("documents");
        fs::create_dir(&documents_dir).unwrap();
        let task = ConfigureTask {
            job: "wf-1".parse().unwrap(),
            document,
            earlier: BTreeMap::new(),
            policy,
            keys: Keys::default(),
            layout: Layout::new(dir.path().join("data")),
            documents_dir,
            local_folder: None,
            program: None,
        };
        Self { dir, task, names: Names::default() }
    }

    fn with_input(mut self, id: &str, urls: &[&str]) -> Self {
        let source = Source::Urls(urls.iter().map(|url| file(url)).collect());
        self.task.document.inputs.push(Input { id: id.parse().unwrap(), did: format!("did:op:{id}"), source });
        self
    }

    fn with_key(self, key: &str, text: &str) -> Self {
        fs::write(self.task.documents_dir.join(key), text).unwrap();
        self
    }

    /// Makes the last input's first file have this digest.
    fn with_digest(mut self, sha256: Sha256) -> Self {
        if let Some(Input { source: Source::Urls(urls), .. }) = self.task.document.inputs.last_mut() {
            urls[0].sha256 = Some(sha256);
        }
        self
    }

    async fn run(&self) -> Done {
        let mut out = Vec::new();
        let report = run_with(self.task.clone(), &mut out, Arc::new(self.names.clone())).await;
        Done { report, out: String::from_utf8(out).unwrap() }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.task.layout.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn exists(&self, path: &str) -> bool {
        self.task.layout.root().join(path).exists()
    }

    /// Every path below `data` with its mode and, for files, its text; the log aside, which grows.
    fn tree(&self) -> BTreeMap<String, (u32, String)> {
        fn walk(root: &Path, path: &Path, found: &mut BTreeMap<String, (u32, String)>) {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().display().to_string();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let text = if metadata.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
                found.insert(name, (metadata.permissions().mode() & 0o7777, text));
                if metadata.is_dir() {
                    walk(root, &path, found);
                }
            }
        }
        let (mut found, root) = (BTreeMap::new(), self.task.layout.root());
        walk(root, root, &mut found);
        found.remove("adminlogs/configure.log");
        found
    }
}

impl Done {
    fn fine(&self) -> &ConfigureReport {
        assert_eq!(self.report.fault, None, "{}", self.out);
        &self.report
    }

    /// The code's number and the reason.
    fn fault(&self) -> (u16, &str) {
        let fault = self.report.fault.as_ref().unwrap_or_else(|| panic!("no fault:\n{}", self.out));
        (fault.code.number(), &fault.reason)
    }
}

fn file(url: &str) -> FileRef {
    FileRef { url: url.to_owned(), sha256: None }
}

/// A resolver with answers of its own: each name gives its answers in turn, the last one for ever.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>>);

impl Names {
    fn set(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|answer| answer.iter().map(|addr| addr.parse().unwrap()).collect());
        self.0.lock().unwrap().insert(name.to_owned(), answers.collect());
    }
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock().unwrap();
        let answers = names.get_mut(host).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

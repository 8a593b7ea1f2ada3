//! A configure stage over one input.

use operator_engine::{
    pod::{
        configure::{self, ConfigureTask, FetchPolicy, Keys},
        layout::Layout,
    },
    workflow::{Document, report::ConfigureReport},
};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// What a stage left behind.
pub(crate) struct Done {
    dir: TempDir,
    pub(crate) report: ConfigureReport,
    pub(crate) log: String,
}

impl Done {
    /// The bytes of the input's first file.
    #[track_caller]
    pub(crate) fn file(&self) -> Vec<u8> {
        assert_eq!(self.report.fault, None, "{}", self.log);
        fs::read(self.dir.path().join("data/inputs/aa/0")).unwrap()
    }

    /// Why there is none.
    #[track_caller]
    pub(crate) fn reason(&self) -> &str {
        &self.report.fault.as_ref().unwrap_or_else(|| panic!("no fault:\n{}", self.log)).reason
    }
}

/// A policy that may reach loopback.
pub(crate) fn policy() -> FetchPolicy {
    FetchPolicy {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        retries: 1,
        backoff_first_ms: 1,
        backoff_max_ms: 5,
        ..FetchPolicy::default()
    }
}

/// Fetches one file, which is a url or `{url, sha256}`.
pub(crate) async fn fetch(file: serde_json::Value, policy: FetchPolicy, keys: Keys) -> Done {
    let dir = tempfile::tempdir().unwrap();
    let text = json!({"stages": [{
        "input": [{"id": "aa", "url": file}],
        "algorithm": {"rawcode": "x", "container": {"image": "i", "entrypoint": "sh $ALGO"}},
    }]})
    .to_string();
    let task = ConfigureTask {
        job: "wf-1".parse().unwrap(),
        document: Document::parse(&text).unwrap(),
        earlier: Default::default(),
        policy,
        keys,
        layout: Layout::new(dir.path().join("data")),
        documents_dir: dir.path().to_owned(),
        local_folder: None,
        program: None,
    };
    let mut log = Vec::new();
    let report = configure::run(task, &mut log).await;
    Done { dir, report, log: String::from_utf8(log).unwrap() }
}

/// Bytes that no two places have alike.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 56) as u8)
    };
    std::iter::repeat_n((), len).scan(7, |state, ()| next(state)).collect()
}

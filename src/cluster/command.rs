//! How a pod of ours is started: the command lines and variables of the four stages, wherever they run.
//!
//! The other side of these lines is `cli/configure.rs`, `cli/exec.rs` and `cli/publish.rs`; a test parses what is built here.

use crate::{
    plan::pod::{PodSpec, Subject, Task},
    pod::{
        configure::{FetchPolicy, Keys},
        layout::Layout,
        publish::LeakRules,
    },
    storage::Targets,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What the admin's configuration adds to every pod's command.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What configure may fetch.
    pub fetch: FetchPolicy,
    /// Where publish stores; no credentials.
    pub targets: Targets,
    /// The most bytes of an algorithm's log, and of a filter's, that are kept.
    pub max_log: u64,
    /// What a filter's pod runs; none: what its image says.
    pub filter_command: Option<String>,
    /// What publish refuses to let out.
    pub leaks: LeakRules,
}

/// Where a pod finds things.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/data`.
    pub layout: Layout,
    /// The outputs of earlier rounds, where this one takes them.
    pub earlier: BTreeMap<u32, PathBuf>,
    /// A folder in which every key of the workflow's ConfigMap is a file.
    pub documents: PathBuf,
    /// The termination message.
    pub termination_log: PathBuf,
    /// Only in the local mode: the folder that `file:` URLs may name files of.
    pub local_folder: Option<PathBuf>,
    /// Only in the local mode: the process that no stage is to outlive.
    pub parent: Option<u32>,
}

/// The arguments after the program's own name. None for a filter without a command: its image knows what to run.
pub fn arguments(spec: &PodSpec, settings: &Settings, places: &Places) -> Option<Vec<String>> {
    let mut line = Line::default();
    let data = places.layout.root();
    let parent = places.parent.map(|pid| pid.to_string());
    match &spec.task {
        Task::Configure { document, .. } => {
            line.word("configure").option("--job", spec.job.as_str());
            line.option("--sha256", &document.to_string());
            line.path("--documents", &places.documents).path("--data", data);
            line.path("--termination-log", &places.termination_log);
            line.option("--policy", &json(&settings.fetch));
            if spec.round > 0 {
                line.option("--stage", &spec.round.to_string());
            }
            for (round, outputs) in &places.earlier {
                line.option("--earlier", &format!("{round}={}", outputs.display()));
            }
            if let Some(folder) = &places.local_folder {
                line.path("--local-folder", folder);
            }
            line.maybe("--parent", parent);
        }
        Task::Algorithm { entrypoint, max_time, .. } => {
            line.word("exec").path("--data", data).path("--termination-log", &places.termination_log);
            line.option("--max-time", &max_time.as_secs_f64().to_string());
            line.option("--grace", &spec.grace.as_secs_f64().to_string());
            line.option("--max-log", &settings.max_log.to_string());
            line.option("--attempt", &spec.attempt.to_string());
            if data != Path::new(Layout::IN_POD) {
                // The algorithm may have the old literal path in it.
                line.path("--as-data", data);
            }
            line.maybe("--parent", parent).word("--").word(entrypoint);
        }
        Task::Filter { .. } => {
            let command = settings.filter_command.as_ref()?;
            line.word("exec").word("--filter").path("--data", data).path("--termination-log", &places.termination_log);
            // Its time is the pod's deadline: one that is late has no say, so there is nothing to be exact about.
            line.option("--grace", &spec.grace.as_secs_f64().to_string());
            line.option("--max-log", &settings.max_log.to_string());
            line.maybe("--parent", parent).word("--").word(command);
        }
        Task::Publish { facts } => {
            line.word("publish").path("--data", data).path("--termination-log", &places.termination_log);
            line.option("--facts", &json(facts)).option("--target", &json(&settings.targets.outputs));
            line.maybe("--adminlogs", settings.targets.adminlogs.as_ref().map(json));
            line.maybe("--leaks", settings.leaks.any().then(|| json(&settings.leaks)));
            line.maybe("--parent", parent);
        }
    }
    Some(line.0)
}

/// The rounds whose outputs a configure pod needs.
pub fn earlier(spec: &PodSpec) -> impl Iterator<Item = u32> {
    let rounds = if let Task::Configure { earlier, .. } = &spec.task { Some(earlier) } else { None };
    rounds.into_iter().flatten().copied()
}

/// The keys that a configure pod needs for its document, by the names of their variables: the operator's if there is a provider
/// to be asked, the admin's if it names one of his buckets. Other stages need none of these.
pub fn input_keys(spec: &PodSpec, fetch: &FetchPolicy) -> Vec<&'static str> {
    let Task::Configure { remote, buckets, .. } = &spec.task else { return Vec::new() };
    let mut names = Vec::new();
    if *remote {
        names.extend(Keys::OPERATOR);
    }
    if fetch.s3.buckets.iter().any(|bucket| buckets.contains(bucket)) {
        names.extend(Keys::S3);
    }
    names
}

/// The seven variables that an algorithm and a filter see, in the old engine's names. Other stages see none of them.
pub fn variables(spec: &PodSpec, layout: &Layout) -> Vec<(&'static str, String)> {
    let (Task::Algorithm { subject, .. } | Task::Filter { subject, .. }) = &spec.task else { return Vec::new() };
    let Subject { dids, transformation_did, secret } = subject;
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    vec![
        ("DIDS", dids.clone()),
        ("TRANSFORMATION_DID", transformation_did.clone()),
        ("VOLUME", path(layout.root().to_owned())),
        ("LOGS", path(layout.logs())),
        ("INPUTS", path(layout.inputs())),
        ("OUTPUTS", path(layout.outputs())),
        ("secret", secret.clone()),
    ]
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn word(&mut self, word: &str) -> &mut Self {
        self.0.push(word.to_owned());
        self
    }

    fn option(&mut self, name: &str, value: &str) -> &mut Self {
        self.word(name).word(value)
    }

    fn maybe(&mut self, name: &str, value: Option<String>) -> &mut Self {
        if let Some(value) = value { self.option(name, &value) } else { self }
    }

    fn path(&mut self, name: &str, value: &Path) -> &mut Self {
        self.option(name, &value.to_string_lossy())
    }
}

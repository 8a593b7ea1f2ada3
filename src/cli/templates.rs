//! The pod templates of a configuration: found, read, and tried on a pod of their stage before any is made.

use super::config_args::ConfigArgs;
use crate::{
    cluster::{
        manifest::Settings,
        template::{Template, trial},
    },
    config::Config,
    plan::Policy,
    workflow::Stage,
};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// What is wrong with templates: one line for each fault, with file and path.
#[derive(Debug, thiserror::Error)]
pub(super) struct TemplateErrors(Vec<String>);

impl fmt::Display for TemplateErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pod templates cannot be used")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// The templates that `config` names, or that lie beside it.
pub(super) fn load(args: &ConfigArgs, config: &Config) -> Result<BTreeMap<Stage, Template>, TemplateErrors> {
    let beside = || args.files.iter().rev().map(|path| path.join("templates")).find(|path| path.is_dir());
    let Some(folder) = config.pods.templates.clone().or_else(beside) else { return Ok(BTreeMap::new()) };
    let (mut templates, mut faults) = (BTreeMap::new(), Vec::new());
    let unreadable = |path: &Path, error: io::Error| TemplateErrors(vec![format!("{}: {error}", path.display())]);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
        paths.push(entry.map_err(|error| unreadable(&folder, error))?.path());
    }
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml")) {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem.starts_with('.') {
            continue; // Editors and Kubernetes keep their own things under such names.
        }
        let yaml = path.extension().is_some_and(|end| end == "yaml");
        let Some(stage) = Stage::ALL.into_iter().find(|stage| stage.as_str() == stem && yaml) else {
            let stages = Stage::ALL.map(|stage| format!("{stage}.yaml")).join(", ");
            faults.push(format!("{}: is for no stage; the names are {stages}", path.display()));
            continue;
        };
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
        match Template::parse(&text) {
            Ok(template) => drop(templates.insert(stage, template)),
            Err(found) => faults
                .extend(found.iter().map(|fault| format!("{}: {}: {}", path.display(), fault.path, fault.message))),
        }
    }
    if faults.is_empty() { Ok(templates) } else { Err(TemplateErrors(faults)) }
}

/// Tries each on a pod of its stage: what its fields do together with the engine's own shows only there.
pub(super) fn try_on(settings: &Settings, policy: &Policy) -> Result<(), TemplateErrors> {
    let faults = trial::faults(settings, policy);
    if faults.is_empty() { Ok(()) } else { Err(TemplateErrors(faults)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::restricted::{Profile, violations},
        config,
    };
    use trial::sample;

    const TWICE: &str = "spec: {volumes: [{name: v, secret: {secretName: s}}], containers: [{volumeMounts: [{name: v, mountPath: /stored/}]}]}";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("templates")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join("templates").join(name), text).unwrap();
        }
        folder
    }

    fn configured(folder: &Path, more: &str) -> (ConfigArgs, Config) {
        std::fs::write(
            folder.join("a.toml"),
            format!("storage.kind = \"directory\"\nstorage.directory = \"/stored\"\n{more}"),
        )
        .unwrap();
        let args = ConfigArgs { files: vec![folder.to_owned()] };
        let config = config::load(&args.files, std::iter::empty()).unwrap().config;
        (args, config)
    }

    fn tried(files: &[(&str, &str)], more: &str) -> Result<(Settings, Policy), String> {
        let folder = folder(files);
        let (args, config) = configured(folder.path(), more);
        let templates = load(&args, &config).map_err(|errors| errors.to_string())?;
        let settings = Settings { templates, ..crate::cli::run::settings(&config).unwrap() };
        let policy = config.plan_policy();
        try_on(&settings, &policy).map_err(|errors| errors.to_string()).map(|()| (settings, policy))
    }

    #[test]
    fn every_stage_has_a_sample() {
        let (settings, policy) = tried(&[], "").unwrap();
        for stage in Stage::ALL {
            let pod = sample(stage, &settings, &policy).unwrap();
            assert_eq!(violations(&pod, Profile::Restricted), Vec::<String>::new(), "{stage}");
        }
    }

    #[test]
    fn templates_beside_the_configuration_lie_under_the_pods_of_their_stage_alone() {
        let (settings, policy) =
            tried(&[("algorithm.yaml", "spec: {priorityClassName: low}"), (".x.yaml", "?"), ("notes.txt", "?")], "")
                .unwrap();
        let priority = |stage| {
            let pod = sample(stage, &settings, &policy).unwrap();
            pod.spec.unwrap().priority_class_name
        };
        assert_eq!(Stage::ALL.map(priority), [None, Some("low".to_owned()), None, None]);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_path() {
        let table = [
            ("algo.yaml", "spec: {}", "algo.yaml: is for no stage"),
            ("filter.yaml", "spec: {hostNetwork: true}", "filter.yaml: spec.hostNetwork: may not be set"),
            ("publish.yaml", "spec: [", "publish.yaml: "),
            ("publish.yaml", TWICE, "publish.yaml: /stored/ is mounted twice"),
        ];
        for (name, text, expected) in table {
            let error = tried(&[(name, text)], "storage.claim = \"results\"\n").err().unwrap_or_default();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn gpus_bring_their_tolerations_and_labels_to_algorithms_only() {
        let keys = "pods.tolerations = [\"jobs=only:NoSchedule\"]\npods.gpu_tolerations = [\"nvidia.com/gpu\"]\n\
                    pods.gpu_node_labels = [\"accelerator=l4\"]\n";
        let placed = |(settings, policy): &(Settings, Policy), stage| {
            let spec = sample(stage, settings, policy).unwrap().spec.unwrap();
            let keys: Vec<_> =
                spec.tolerations.unwrap().into_iter().map(|toleration| toleration.key.unwrap()).collect();
            (keys.join(" "), spec.node_selector.is_some())
        };
        let without = tried(&[], keys).unwrap();
        let with = tried(&[], &format!("{keys}limits.gpus = 1\n")).unwrap();
        for stage in Stage::ALL {
            assert_eq!(placed(&without, stage), ("jobs".to_owned(), false), "{stage}");
            let expected = if stage == Stage::Algorithm { ("jobs nvidia.com/gpu", true) } else { ("jobs", false) };
            assert_eq!(placed(&with, stage), (expected.0.to_owned(), expected.1), "{stage}");
        }
    }
}

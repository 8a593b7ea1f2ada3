//! `check`: what configuration is in force and where it is from; or what the engine understands of a workflow file; or what
//! an old deployment's variables are here.
//!
//! Nothing is run and no cluster is asked. The configuration is read in either case, so that one command in a pipeline
//! finds what is wrong with both.

mod from_env;
mod workflow;

use super::{
    chain,
    config_args::ConfigArgs,
    output::{self, Output},
    refusal::Refusal,
    run::settings,
    templates,
};
use crate::{
    cluster::{manifest::Settings, template::trial},
    config::{Effective, Loaded},
    exit::Exit,
    workflow::{
        Stage,
        document::{Document, Fault},
    },
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Show the configuration and where each value is from, or check a workflow file.
///
/// Without FILE: every key, its value and whether that is a default or from which file or variable it is. With FILE: what
/// the engine would run, or everything that is wrong with the document, each with its path. Nothing is fetched or run.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    /// Show what the variables of an old deployment are in a file of this engine: FILE is its Deployment, its list
    /// of variables, or KEY=VALUE lines. Credentials are named, never shown
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "files"])]
    from_env: Option<PathBuf>,
    /// Show the pod that this stage gets of the workflow in FILE, or of an example, templates and all, instead: a manifest,
    /// as JSON
    #[arg(long, value_name = "configure|algorithm|filter|publish", value_parser = stage)]
    pod: Option<Stage>,
    /// A workflow to check instead: a document, or the manifest of the ConfigMap that holds one
    file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine check --config site.toml
  OPERATOR_ENGINE__LIMITS__MAX_JOBS=20 operator-engine check | grep -v default
  operator-engine check --config site/ --pod algorithm
  operator-engine check manifests/examples/penguins/workflow.yaml
  kubectl kustomize manifests/examples/penguins | operator-engine check /dev/stdin
  operator-engine check --from-env old/operator.yml > site.toml

Exit codes: 0 all is well · 3 the configuration cannot be used · 14 the workflow would be refused";

/// A workflow that can be read.
#[derive(Debug)]
pub struct Readable {
    /// Its document.
    pub document: Document,
    /// What is odd about what it is in, each a sentence without its full stop.
    pub warnings: Vec<String>,
}

/// Why there is no document.
#[derive(Debug)]
pub enum Unusable {
    /// The file cannot be read, or holds no document.
    Unreadable(String),
    /// The document has faults: at least one, all that were found.
    Faults(Vec<Fault>),
}

/// Runs the command. `read` is how a workflow file becomes a document.
///
/// Values, documents and their faults go to `out`; warnings and what is wrong with the configuration to `err`. Ends with
/// [`Exit::Configuration`] for a configuration that cannot be used, [`Exit::WorkflowRefused`] for a workflow file that
/// cannot, and [`Exit::Failure`] when the answer cannot be written.
pub fn run(
    args: CheckArgs,
    read: impl FnOnce(&Path) -> Result<Readable, Unusable>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    if let Some(path) = &args.from_env {
        let told = match from_env::Migration::read(path) {
            Ok(migration) => migration.write(args.output, out).map(|()| Exit::Success),
            Err(error) => Ok(Refusal::new(Exit::Configuration, chain(&error)).tell(args.output, out, err)),
        };
        return told.unwrap_or(Exit::Failure);
    }
    let loaded = args.config.load();
    let answered = match loaded {
        Ok(loaded) => answer(&args, &loaded, read, out, err),
        Err(errors) => Ok(Refusal::from(errors).tell(args.output, out, err)),
    };
    answered.unwrap_or(Exit::Failure)
}

fn answer(
    args: &CheckArgs,
    loaded: &Loaded,
    read: impl FnOnce(&Path) -> Result<Readable, Unusable>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    for warning in &loaded.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    let settings = match pods(args, loaded) {
        Ok(settings) => settings,
        Err(error) => return Ok(Refusal::new(Exit::Configuration, error).tell(args.output, out, err)),
    };
    let policy = loaded.config.plan_policy();
    let Some(file) = &args.file else {
        match (args.pod, settings) {
            (Some(stage), Some(settings)) => output::json(out, &trial::sample(stage, &settings, &policy))?,
            _ => values(&loaded.values, args.output, out)?,
        }
        return Ok(Exit::Success);
    };
    match read(file) {
        Ok(Readable { document, warnings }) => {
            for warning in &warnings {
                writeln!(err, "warning: {warning}")?;
            }
            match (args.pod, settings) {
                (Some(stage), Some(settings)) => {
                    output::json(out, &trial::pod_of(document, stage, &settings, &policy))?;
                }
                _ => workflow::understood(&document, &warnings, &loaded.config, args.output, out)?,
            }
            Ok(Exit::Success)
        }
        Err(Unusable::Faults(faults)) => {
            let refusal = Refusal::of_faults(&file.display().to_string(), faults);
            match args.output {
                Output::Json => Ok(refusal.tell(args.output, out, err)),
                // What was asked for is what is wrong: that is the answer, and no mishap.
                Output::Table => workflow::faults(&refusal, out).map(|()| Exit::WorkflowRefused),
            }
        }
        Err(Unusable::Unreadable(message)) => {
            Ok(Refusal::new(Exit::WorkflowRefused, message).tell(args.output, out, err))
        }
    }
}

fn stage(text: &str) -> Result<Stage, String> {
    let known = Stage::ALL.into_iter().find(|stage| stage.as_str() == text);
    known.ok_or_else(|| "the stages are configure, algorithm, filter and publish".to_owned())
}

/// What pods are made of, with templates that were tried. None without a store, where no pod is made.
fn pods(args: &CheckArgs, loaded: &Loaded) -> Result<Option<Settings>, String> {
    let templates = templates::load(&args.config, &loaded.config).map_err(|errors| errors.to_string())?;
    let settings = match settings(&loaded.config) {
        Ok(settings) => Settings { templates, ..settings },
        Err(error) if args.pod.is_some() => return Err(error.to_string()),
        Err(_) => return Ok(None),
    };
    templates::try_on(&settings, &loaded.config.plan_policy()).map_err(|errors| errors.to_string())?;
    Ok(Some(settings))
}

/// Every value and its source. A value is as TOML has it, so that a line can be copied into a file.
fn values(values: &[Effective], output: Output, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Json => output::json(out, &values),
        Output::Table => {
            let mut rows = vec![["KEY", "VALUE", "SOURCE"].map(str::to_owned)];
            rows.extend(values.iter().map(|e| [e.key.to_owned(), e.value.to_string(), e.source.clone()]));
            output::table(out, &rows)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        check: CheckArgs,
    }

    fn args(words: &[&str]) -> CheckArgs {
        Cli::try_parse_from(std::iter::once(&"check").chain(words)).unwrap().check
    }

    /// Over an environment of the test's own; answers the exit code, `out` and `err`.
    fn check(
        words: &[&str],
        environment: &[(&str, &str)],
        document: Result<Readable, Unusable>,
    ) -> (Exit, String, String) {
        let args = args(words);
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = config::load(&args.config.files, environment).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = answer(&args, &loaded, |_| document, &mut out, &mut err).unwrap();
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn nothing() -> Result<Readable, Unusable> {
        Err(Unusable::Unreadable("not asked for".to_owned()))
    }

    #[test]
    fn without_a_file_the_defaults_are_shown() {
        let (exit, out, err) = check(&[], &[], nothing());
        assert_eq!((exit, err.as_str()), (Exit::Success, ""));
        insta::assert_snapshot!("defaults", out);
    }

    #[test]
    fn overrides_show_their_sources_and_warnings_go_to_err() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.toml");
        std::fs::write(&file, "[limits]\nmemory = \"4Gi\"\nmax_jobs = 4\n").unwrap();
        let environment = [
            ("maxJobs", "20"),
            ("OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS", "10.1.2.0/24,fd00::/8"),
            ("NOTIFY_STOP_URL", "https://ann:s3cret@example.org/stop?token=s3cret"),
            ("STORAGE_EXPIRY", "24"),
            ("OPERATOR_PRIVATE_KEY", "0xs3cret"),
            ("AWS_REGION", "eu-central-1"),
        ];
        let (exit, out, err) = check(&["--config", file.to_str().unwrap()], &environment, nothing());
        assert_eq!(exit, Exit::Success);
        assert!(!out.contains("s3cret") && !err.contains("s3cret"));
        let out = out.replace(&folder.path().display().to_string(), "DIR");
        let changed: Vec<_> = out.lines().filter(|line| !line.ends_with(" default")).collect();
        insta::assert_snapshot!("overrides", format!("{}\n---- err\n{err}", changed.join("\n")));
    }

    #[test]
    fn json_is_an_array_of_all_keys() {
        let (_, out, _) = check(&["-o", "json"], &[("nCPU", "2")], nothing());
        let array: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
        let expected = serde_json::json!({"key": "limits.cpus", "value": "2", "source": "environment variable nCPU"});
        assert!(array.contains(&expected), "{out}");
        assert!(array.contains(&serde_json::json!({"key": "limits.max_jobs", "value": 10, "source": "default"})));
    }

    #[test]
    fn a_configuration_that_cannot_be_used_is_exit_three_and_the_workflow_is_not_read() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = args(&["--config", "/nowhere/a.toml", "wf.json"]);
        let exit = run(args, |_| panic!("read"), &mut out, &mut err);
        assert_eq!((exit, out.len()), (Exit::Configuration, 0));
        let err = String::from_utf8(err).unwrap();
        assert!(err.starts_with("error: the configuration cannot be used") && err.contains("/nowhere/a.toml"), "{err}");
    }

    #[test]
    fn an_answer_that_cannot_be_written_is_a_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let loaded = config::load(&[], std::iter::empty()).unwrap();
        assert!(answer(&args(&[]), &loaded, |_| nothing(), &mut Closed, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_read_refuses_the_workflow() {
        let (exit, out, err) = check(&["wf.json"], &[], Err(Unusable::Unreadable("wf.json: no such file".to_owned())));
        assert_eq!((exit, out.as_str(), err.as_str()), (Exit::WorkflowRefused, "", "error: wf.json: no such file\n"));
    }

    #[test]
    fn every_fault_of_a_document_is_told_with_its_path() {
        let fault = |path: &str, message: &str| Fault { path: path.to_owned(), message: message.to_owned() };
        let faults = || {
            let algorithm = fault("stages[0].algorithm.container.image", "is \u{1b}missing");
            Err(Unusable::Faults(vec![fault("", "has two stages"), algorithm]))
        };
        let (exit, out, _) = check(&["wf.json"], &[], faults());
        assert_eq!(exit, Exit::WorkflowRefused);
        assert_eq!(
            out,
            "wf.json: the workflow is refused, for 2 reasons:\n  has two stages\n  stages[0].algorithm.container.image: is  missing\n"
        );
        let (exit, out, _) = check(&["-o", "json", "wf.json"], &[], faults());
        assert_eq!(exit, Exit::WorkflowRefused);
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(answer["faults"][1]["path"], "stages[0].algorithm.container.image");
    }
}

//! `logs`: what a stage prints while its pod is there, and what was stored of it afterwards.

use super::{
    cluster_args::{self, FindArgs, find, record},
    config_args::ConfigArgs,
    output::Output,
    refusal::Refusal,
    stored::{self, Part},
};
use crate::{
    cluster::kube::{Registered, Submitter},
    exit::Exit,
    plan::{
        Failure,
        seen::{PodSeen, attempt_of},
    },
    storage::{StorageError, verify},
    workflow::{JobId, Record, Stage, digest::Hasher},
};
use futures::{AsyncReadExt as _, TryStreamExt as _};
use std::io::{self, IsTerminal as _, Write as _};

/// Show what a stage printed: from its pod while that is there, else from what was stored.
///
/// The algorithm's log is stored with the outputs. Those of configure, filter and publish are the admin's, and may be kept
/// apart. To read what was stored takes the engine's configuration, as for operator-engine results.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LogsArgs {
    /// The workflow's name: its job id
    job: JobId,
    /// The stage: configure, algorithm, filter or publish [default: the one in hand; at the end, the algorithm]; of a document
    /// with several stages also 1:configure, or 1 alone, counted from 0
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    stage: Option<Which>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    cluster: FindArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine logs penguins -n operator-engine-jobs
  operator-engine logs penguins --stage configure --config site.toml

Exit codes:
  0  done                                    1  cluster or store failed, or does not allow it
  3  the configuration cannot be used        4  there is no such workflow
  6  there is no log yet                     7  no log was stored, or it was deleted
  8  the stored log is not what the manifest says";

/// Whose log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Which {
    /// The number of the document's stage.
    round: Option<u32>,
    stage: Option<Stage>,
}

fn stage(text: &str) -> Result<Which, String> {
    let named = |text: &str| Stage::ALL.into_iter().find(|stage| stage.as_str() == text);
    let (round, stage) = match text.split_once(':') {
        Some((round, stage)) => (round.parse().ok(), named(stage)),
        None => (text.parse().ok(), named(text)),
    };
    let whole = round.is_some() || stage.is_some();
    let both = round.is_some() && stage.is_some();
    if whole && (both || !text.contains(':')) {
        return Ok(Which { round, stage });
    }
    Err("a stage is configure, algorithm, filter or publish, or one of these behind a number and ':'".to_owned())
}

/// Runs the command.
pub fn run(args: &LogsArgs) -> Exit {
    cluster_args::run(Output::Table, logs(args))
}

async fn logs(args: &LogsArgs) -> Result<Exit, Refusal> {
    let loaded = args.config.load()?;
    let cluster = args.cluster.or(&loaded.config).connect().await?;
    let found = find(&cluster, &args.job).await?;
    let record = record(&found)?;
    let in_hand = record.as_ref().and_then(|record| record.phase.stage());
    let which = args.stage.unwrap_or_default();
    let now = record.as_ref().map_or(0, |record| record.round);
    let round = which.round.unwrap_or(now);
    let in_hand = in_hand.filter(|_| round == now);
    let stage = which.stage.or(in_hand).unwrap_or(Stage::Algorithm);
    let ended = record.as_ref().filter(|record| record.phase.stage().is_none() || round < now);
    // What was stored is whole and checked. A pod may outlast the end for a moment, and speaks where no store can.
    let refused = match ended {
        Some(record) => match from_store(args, &found, record, (round, stage), &loaded).await {
            Err(refusal) if matches!(refusal.exit, Exit::Configuration | Exit::NoResults) => Some(refusal),
            told => return told.map(|()| Exit::Success),
        },
        None => None,
    };
    if let Some(pod) = newest(cluster.pods(&found).await?, &args.job, round, stage) {
        match (from_pod(&cluster, &pod).await, &refused) {
            // It went between the two questions, or cannot be read any more.
            (Err(Failure::NotFound), _) | (Err(_), Some(_)) => {}
            (told, _) => {
                told.map_err(|failure| not_readable(&pod, failure))??;
                return Ok(Exit::Success);
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        let message =
            format!("{} has no log of {stage} yet: that stage has no pod, and logs are stored at the end", args.job);
        Refusal::new(Exit::NotEnded, message)
    }))
}

/// The pod of the stage's last attempt.
fn newest(pods: Vec<PodSeen>, job: &JobId, round: u32, stage: Stage) -> Option<PodSeen> {
    let attempt = |pod: &PodSeen| attempt_of(&pod.name, job, round, stage);
    pods.into_iter().filter(|pod| attempt(pod).is_some()).max_by_key(attempt)
}

async fn from_pod(cluster: &Submitter, pod: &PodSeen) -> Result<io::Result<()>, Failure> {
    let mut log = cluster.log(&pod.name).await?;
    let (mut printer, mut buffer) = (Printer::new(), vec![0; 64 * 1024]);
    loop {
        let read = match log.read(&mut buffer).await {
            Ok(0) => return Ok(Ok(())),
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = printer.print(buffer.get(..read).unwrap_or_default()) {
            return Ok(Err(error));
        }
    }
}

fn not_readable(pod: &PodSeen, failure: Failure) -> Refusal {
    match failure {
        Failure::Refused { message, .. } => {
            Refusal::new(Exit::NotEnded, format!("{} has no log yet: {message}", pod.name))
        }
        other => other.into(),
    }
}

async fn from_store(
    args: &LogsArgs,
    found: &Registered,
    record: &Record,
    (round, stage): (u32, Stage),
    loaded: &crate::config::Loaded,
) -> Result<(), Refusal> {
    let (part, path) = match stage {
        Stage::Algorithm => (Part::Outputs, "logs/algorithm.log"),
        Stage::Configure => (Part::Adminlogs, "adminlogs/configure.log"),
        Stage::Filter => (Part::Adminlogs, "adminlogs/filter.log"),
        Stage::Publish => (Part::Adminlogs, "adminlogs/publish.log"),
    };
    let opened = stored::of_record(&args.job, Some(round), part, Some(record), loaded)?;
    let (manifest, _) = opened.manifest().await?;
    let Some(file) = manifest.files.iter().find(|file| file.path == path) else {
        let message = format!("no log of {stage} was stored for {}", found.name());
        return Err(Refusal::new(Exit::NoResults, message));
    };
    let differs = |what: &str| Refusal::new(Exit::ResultsDiffer, format!("{path} {what}"));
    verify::place(&opened.stored.job, file).map_err(|why| differs(&why))?;
    let mut bytes = match opened.store.read(&opened.stored, &file.key).await {
        Err(StorageError::Missing { .. }) => return Err(differs("is missing in the store")),
        bytes => bytes?,
    };
    let (mut printer, mut hasher) = (Printer::new(), Hasher::default());
    while let Some(chunk) = bytes.try_next().await? {
        hasher.update(&chunk);
        printer.print(&chunk)?;
    }
    if hasher.finish() != file.sha256 {
        return Err(differs("is not what was published: its SHA-256 is another one"));
    }
    Ok(())
}

/// Standard output. A log is a stranger's: on a terminal its control characters are shown instead of obeyed.
struct Printer {
    terminal: bool,
}

impl Printer {
    fn new() -> Self {
        Self { terminal: io::stdout().is_terminal() }
    }

    fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.terminal { out.write_all(&tame(bytes)) } else { out.write_all(bytes) }
    }
}

/// Bytes without control characters but line ends and tabs. Those of C1 are sequences of two bytes in UTF-8.
fn tame(bytes: &[u8]) -> Vec<u8> {
    let mut tamed = Vec::with_capacity(bytes.len());
    let mut before = 0;
    for &byte in bytes {
        let control = (byte < b' ' && !matches!(byte, b'\n' | b'\t')) || byte == 0x7f;
        let c1 = before == 0xc2 && (0x80..0xa0).contains(&byte);
        if c1 {
            tamed.pop();
        }
        tamed.push(if control || c1 { b'?' } else { byte });
        before = byte;
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::seen::{Progress, Uid, Version};

    #[test]
    fn a_log_does_not_rule_a_terminal() {
        assert_eq!(tame(b"a\x1b[2J\tb\r\n\x07\x7f"), b"a?[2J\tb?\n??");
        assert_eq!(tame("é\u{9b}ü".as_bytes()), "é?ü".as_bytes());
    }

    #[test]
    fn the_last_attempt_is_the_one_with_the_highest_number() {
        let pod = |name: &str| PodSeen {
            name: name.to_owned(),
            uid: Uid(String::new()),
            version: Version(0),
            workflow: "a".to_owned(),
            owner: None,
            cohort: None,
            deleting: false,
            progress: Progress::Running,
        };
        let names = ["a-algorithm-9", "a-algorithm-10", "a-configure-11", "b-algorithm-12", "a-algorithm-1-13"];
        let of = |round| newest(names.map(pod).to_vec(), &"a".parse().unwrap(), round, Stage::Algorithm).unwrap().name;
        assert_eq!((of(0).as_str(), of(1).as_str()), ("a-algorithm-10", "a-algorithm-1-13"));
    }

    #[test]
    fn a_stage_is_named_by_its_word_or_its_number_or_both() {
        let which = |round, stage| Ok(Which { round, stage });
        assert_eq!(stage("publish"), which(None, Some(Stage::Publish)));
        assert_eq!(stage("1"), which(Some(1), None));
        assert_eq!(stage("1:filter"), which(Some(1), Some(Stage::Filter)));
        for text in ["", "x", "1:", ":filter", "1:x", "filter:1", "-1"] {
            assert!(stage(text).is_err(), "{text}");
        }
    }
}

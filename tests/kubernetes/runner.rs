//! Runs tests in groups and in order, with the arguments of `cargo test` that people use: words, `--exact`, `--skip`, `--list`.
//!
//! What tests measured is printed at the end, beside what is asked of it.

use crate::cluster::Cluster;
use futures::{StreamExt, future::BoxFuture, stream};
use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A test.
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) group: Group,
    pub(crate) body: Body,
}

type Body = Box<dyn FnOnce(&'static Cluster) -> BoxFuture<'static, ()> + Send>;

/// When a test runs, and beside what: one group after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Beside the others of this group; none of them measures time.
    Together,
    /// Engines that die. They mostly wait, but what they measure needs a quiet machine.
    Takeover,
    /// Alone.
    Alone,
    /// After everything else: it judges what the others left.
    Last,
}

impl Group {
    const ALL: [Self; 4] = [Self::Together, Self::Takeover, Self::Alone, Self::Last];

    /// How many at once. Two cores serve an API server, its store and its controllers too.
    fn width(self) -> usize {
        match self {
            Self::Together => 8,
            Self::Takeover => 16,
            Self::Alone | Self::Last => 1,
        }
    }
}

/// Makes a [`Test`] of an async function, named after its module and itself.
macro_rules! test {
    ($group:expr, $module:ident :: $function:ident) => {
        $crate::runner::Test {
            name: concat!(stringify!($module), "::", stringify!($function)).to_owned(),
            group: $group,
            body: Box::new(|cluster| Box::pin($crate::$module::$function(cluster))),
        }
    };
}
pub(crate) use test;

static FIGURES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Notes something that was measured.
pub(crate) fn figure(what: impl Into<String>, value: impl Into<String>) {
    FIGURES.lock().unwrap_or_else(PoisonError::into_inner).push((what.into(), value.into()));
}

/// Which tests were asked for.
struct Wanted {
    words: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
}

impl Wanted {
    fn from_arguments() -> Self {
        let mut wanted = Self { words: Vec::new(), skipped: Vec::new(), exact: false, list: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => wanted.exact = true,
                "--list" => wanted.list = true,
                "--skip" => wanted.skipped.extend(arguments.next()),
                // Nothing is captured here, and groups say how many run at once.
                "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" => {}
                "--test-threads" | "--format" | "--color" | "-Z" => drop(arguments.next()),
                other if other.starts_with('-') => {}
                word => wanted.words.push(word.to_owned()),
            }
        }
        wanted
    }

    fn has(&self, name: &str) -> bool {
        let matches = |word: &String| if self.exact { name == word } else { name.contains(word.as_str()) };
        (self.words.is_empty() || self.words.iter().any(matches)) && !self.skipped.iter().any(matches)
    }
}

/// Runs the tests that the command line asks for.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    let wanted = Wanted::from_arguments();
    let all = tests.len();
    let tests: Vec<Test> = tests.into_iter().filter(|test| wanted.has(&test.name)).collect();
    if wanted.list {
        tests.iter().for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests on a control plane", tests.len());
    if tests.is_empty() {
        println!("\ntest result: ok. 0 passed; 0 failed; {all} filtered out");
        return ExitCode::SUCCESS;
    }
    // Where, in one line: the message comes with the test's result.
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            eprintln!("a check failed at {place}");
        }
    }));
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (run, all_run) = (tests.len(), tests.len() == all);
    let failed = runtime.block_on(async {
        let cluster: &'static Cluster = Box::leak(Box::new(Cluster::up(all_run).await));
        let failed = run_groups(tests, cluster).await;
        cluster.down(failed.is_empty()).await;
        failed
    });
    for (what, value) in FIGURES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{what:<58} {value}");
    }
    for (name, message) in &failed {
        println!("\n---- {name} ----\n{message}");
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let (passed, filtered) = (run - failed.len(), all - run);
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; {filtered} filtered out; finished in {:.1}s",
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run_groups(tests: Vec<Test>, cluster: &'static Cluster) -> Vec<(String, String)> {
    let mut groups: BTreeMap<Group, Vec<Test>> = BTreeMap::new();
    for test in tests {
        groups.entry(test.group).or_default().push(test);
    }
    let mut failed = Vec::new();
    for group in Group::ALL {
        let tests = groups.remove(&group).unwrap_or_default();
        let mut results =
            stream::iter(tests.into_iter().map(|test| one(test, cluster))).buffer_unordered(group.width());
        while let Some((name, took, result)) = results.next().await {
            let said = if result.is_ok() { "ok" } else { "FAILED" };
            println!("test {name} ... {said} ({:.1}s)", took.as_secs_f64());
            if let Err(message) = result {
                println!("{message}");
                failed.push((name, message));
            }
        }
    }
    failed
}

/// The longest that one test may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(150);

async fn one(test: Test, cluster: &'static Cluster) -> (String, Duration, Result<(), String>) {
    let started = Instant::now();
    let mut task = tokio::spawn((test.body)(cluster));
    let result = match tokio::time::timeout(LIMIT, &mut task).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(match error.try_into_panic() {
            Ok(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
            }
            Err(error) => error.to_string(),
        }),
        Err(_) => {
            task.abort();
            Err(format!("it did not end within {LIMIT:?}"))
        }
    };
    (test.name, started.elapsed(), result)
}

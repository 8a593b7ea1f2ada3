//! The wrapper as a real process with real children. Each test starts this test program again, which becomes the
//! wrapper by way of [`the_wrapper_itself`]: it claims all children of its process, so it cannot share one with others.

use super::*;
use crate::workflow::report::{self, ExecReport};
use clap::Parser as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

const ARGUMENTS: &str = "OPERATOR_ENGINE_TEST_EXEC";

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    exec: ExecArgs,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how a test tells its own child process what to run")]
fn the_wrapper_itself() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments: Vec<String> = serde_json::from_str(&arguments).unwrap();
    let line = CommandLine::try_parse_from(std::iter::once("exec".to_owned()).chain(arguments)).unwrap();
    std::process::exit(run(line.exec).into());
}

/// A workflow's folder and a wrapper to run in it.
struct Bench {
    dir: tempfile::TempDir,
}

struct Done {
    status: ExitStatus,
    report: ExecReport,
    log: String,
    stdout: String,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("exec-").tempdir_in("/var/tmp").unwrap();
        for folder in Layout::FOLDERS {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn algorithm(self, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = Layout::new(self.path()).algorithm();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        self
    }

    fn command(&self, options: &[&str], entrypoint: &str) -> Command {
        let own = [
            "--data",
            self.path().to_str().unwrap(),
            "--termination-log",
            &self.path().join("report").display().to_string(),
        ]
        .map(str::to_owned);
        let arguments: Vec<String> = own
            .into_iter()
            .chain(options.iter().map(|&option| option.to_owned()))
            .chain(["--".to_owned(), entrypoint.to_owned()])
            .collect();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "cli::exec::tests::the_wrapper_itself", "--nocapture", "--quiet", "--test-threads=1"])
            .env(ARGUMENTS, serde_json::to_string(&arguments).unwrap())
            .env("OUTPUTS", self.path().join("outputs"))
            .env("MARK", self.mark())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A text in the environment of every process of this bench and of no other.
    fn mark(&self) -> String {
        self.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn run(&self, options: &[&str], entrypoint: &str) -> Done {
        self.done(self.command(options, entrypoint).spawn().unwrap())
    }

    fn done(&self, child: Child) -> Done {
        let output = child.wait_with_output().unwrap();
        let text = fs::read_to_string(self.path().join("report")).unwrap_or_default();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(self.living(), Vec::<u32>::new(), "no process may outlive the wrapper; stderr: {stderr}");
        Done {
            status: output.status,
            report: report::parse(&text).unwrap_or_else(|| panic!("no report: {text:?}; {stdout}; {stderr}")),
            log: fs::read_to_string(Layout::new(self.path()).logs().join("algorithm.log")).unwrap_or_default(),
            stdout,
        }
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    fn living(&self) -> Vec<u32> {
        let mark = format!("MARK={}", self.mark());
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let marked = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        };
        pids.filter(marked).collect()
    }

    /// Waits for the algorithm to say, with a file in outputs, that it is where the test wants it.
    fn wait_for(&self, name: &str) {
        let path = self.path().join("outputs").join(name);
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn the_exit_status_is_the_algorithms_own() {
    let bench = Bench::new().algorithm("#!/bin/sh\necho out; echo err >&2; exit 3\n");
    let done = bench.run(&[], "$ALGO");
    assert_eq!((done.status.code(), done.report.exit_code, done.report.signal), (Some(3), Some(3), None));
    assert_eq!(done.log, "out\nerr\n");
    assert!(done.stdout.contains("out\nerr\n"), "{}", done.stdout);
    assert_eq!((done.report.log_bytes, done.report.log_dropped_bytes), (8, 0));
    assert_eq!((done.report.stopped, done.report.timed_out, done.report.error), (false, false, None));
    assert!(done.report.peak_memory_bytes > 0);
}

#[test]
fn a_shell_entrypoint_has_all_its_output_in_the_log() {
    let bench = Bench::new().algorithm("echo \"$1\"\n");
    let done = bench.run(&[], "echo first; sh $ALGO 'a  b' | tr a-z A-Z; cd / && pwd");
    assert_eq!((done.status.code(), done.log.as_str()), (Some(0), "first\nA  B\n/\n"));
}

#[test]
fn a_script_without_an_interpreter_line_runs_as_under_the_old_engine() {
    let bench = Bench::new().algorithm("echo plain\n");
    assert_eq!(bench.run(&[], "$ALGO").log, "plain\n");
}

#[test]
fn a_signal_is_reported_as_shells_report_it() {
    let done = Bench::new().run(&[], "kill -9 $$");
    assert_eq!((done.status.code(), done.report.exit_code, done.report.signal), (Some(137), None, Some(9)));
    assert_eq!(done.status.signal(), None, "the wrapper itself exits");
}

#[test]
fn what_cannot_be_started_says_why_in_report_and_log() {
    let done = Bench::new().run(&[], "no-such-program-anywhere --x");
    assert_eq!((done.status.code(), done.report.exit_code), (Some(127), None));
    let error = done.report.error.unwrap();
    assert!(error.contains("no-such-program-anywhere"), "{error}");
    assert!(done.log.contains(&error), "{}", done.log);

    let bench = Bench::new().algorithm("x");
    fs::set_permissions(Layout::new(bench.path()).algorithm(), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    assert_eq!(bench.run(&[], "$ALGO").status.code(), Some(126));
    assert_eq!(Bench::new().run(&[], "  ").status.code(), Some(127));
}

#[test]
fn a_long_error_still_fits_the_report() {
    let done = Bench::new().run(&[], &"x\u{1}é\"".repeat(5000).replace('"', ""));
    assert_eq!(done.status.code(), Some(126), "the name is too long to be looked up");
    assert!(done.report.error.unwrap().len() <= 1024);
}

#[test]
fn sigterm_reaches_the_algorithm_which_may_finish_within_its_grace() {
    let bench = Bench::new();
    let child = bench
        .command(&["--grace", "30"], "trap 'echo bye; exit 7' TERM; touch $OUTPUTS/ready; while :; do sleep 0.02; done")
        .spawn()
        .unwrap();
    bench.wait_for("ready");
    send(&child, Signal::SIGTERM);
    let done = bench.done(child);
    assert_eq!((done.status.code(), done.report.stopped, done.report.exit_code), (Some(7), true, Some(7)));
    assert!(done.log.contains("bye"));
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_grace_period() {
    let bench = Bench::new();
    let child = bench
        .command(&["--grace", "0.2"], "trap '' TERM INT; touch $OUTPUTS/ready; while :; do sleep 1; done")
        .spawn()
        .unwrap();
    bench.wait_for("ready");
    send(&child, Signal::SIGINT);
    let done = bench.done(child);
    assert_eq!((done.status.code(), done.report.stopped, done.report.signal), (Some(137), true, Some(9)));
}

#[test]
fn the_whole_group_is_asked_to_stop() {
    let bench = Bench::new();
    let entrypoint = "(trap 'echo inner >> $OUTPUTS/said; exit' TERM; touch $OUTPUTS/ready; while :; do sleep 0.02; done) & \
                      trap 'wait; exit 0' TERM; while :; do sleep 0.02; done";
    let child = bench.command(&[], entrypoint).spawn().unwrap();
    bench.wait_for("ready");
    send(&child, Signal::SIGTERM);
    bench.done(child);
    assert_eq!(fs::read_to_string(bench.path().join("outputs/said")).unwrap(), "inner\n");
}

#[test]
fn what_a_shell_started_has_the_grace_period_although_the_shell_has_gone() {
    let bench = Bench::new();
    let entrypoint =
        "(trap 'sleep 0.3; touch $OUTPUTS/saved; exit' TERM; touch $OUTPUTS/ready; while :; do sleep 0.02; done); true";
    let child = bench.command(&["--grace", "30"], entrypoint).spawn().unwrap();
    bench.wait_for("ready");
    send(&child, Signal::SIGTERM);
    let done = bench.done(child);
    assert_eq!((done.status.code(), done.report.signal), (Some(143), Some(15)));
    assert!(bench.path().join("outputs/saved").exists());
    assert!(done.report.wall_ms < 20_000, "it does not wait any longer than needed");
}

#[test]
fn time_that_is_up_ends_it() {
    let done = Bench::new().run(&["--max-time", "0.2", "--grace", "5"], "sleep 60");
    assert_eq!((done.report.timed_out, done.report.stopped), (true, false));
    assert_eq!((done.status.code(), done.report.signal), (Some(143), Some(15)));
    assert!(done.report.wall_ms >= 200 && done.report.wall_ms < 5000, "{}", done.report.wall_ms);
}

#[test]
fn a_stopped_process_is_woken_to_end() {
    let done = Bench::new().run(&["--max-time", "0.2", "--grace", "20"], "trap 'exit 4' TERM; kill -STOP $$; sleep 1");
    assert_eq!((done.report.timed_out, done.status.code()), (true, Some(4)));
}

#[test]
fn a_background_child_that_holds_the_pipe_delays_nothing_and_is_gone() {
    let begun = Instant::now();
    let done = Bench::new().run(&[], "sleep 300 & echo done");
    assert_eq!((done.status.code(), done.log.as_str()), (Some(0), "done\n"));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_daemon_that_left_group_and_parent_does_not_survive() {
    // setsid and a double fork, deaf to SIGTERM and SIGHUP; `done` looks for it by its environment.
    let entrypoint = "(setsid sh -c '(trap \"\" TERM HUP; touch $OUTPUTS/ready; while :; do sleep 1; done) &' &) ; \
                      while ! [ -e $OUTPUTS/ready ]; do sleep 0.01; done; exit 5";
    assert_eq!(Bench::new().run(&[], entrypoint).status.code(), Some(5));
}

#[test]
fn the_log_keeps_its_ends() {
    let done = Bench::new().run(&["--max-log", "4000"], "echo begin; seq 1 100000; echo end");
    assert!(done.log.starts_with("begin\n1\n2\n") && done.log.ends_with("99999\n100000\nend\n"), "{}", done.log);
    assert!(done.log.contains("bytes left out here; the limit is 4000]"));
    assert!(done.log.len() < 4100);
    assert_eq!(done.report.log_bytes, done.report.log_dropped_bytes + 4000);
    assert!(done.stdout.contains("\n50000\n"), "standard output has everything");
}

#[test]
fn a_log_that_cannot_be_written_is_not_fatal() {
    let done = Bench::new().run(&["--log", "/dev/full"], "echo x; exit 6");
    assert_eq!((done.status.code(), done.report.log_dropped_bytes), (Some(6), 2));
    let done = Bench::new().run(&["--log", "/no/such/folder/log"], "echo x; exit 6");
    assert_eq!(done.status.code(), Some(6));
    assert!(done.stdout.contains("/no/such/folder/log cannot be written"), "{}", done.stdout);
}

#[test]
fn a_standard_output_that_nobody_reads_holds_nothing_up() {
    let bench = Bench::new();
    // Nobody reads the pipe until the wrapper has ended.
    let mut child = bench.command(&[], "seq 1 1000000; exit 8").spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
    let done = bench.done(child);
    assert!(done.log.ends_with("\n1000000\n"));

    let entrypoint = "touch $OUTPUTS/ready; while [ -e $OUTPUTS/ready ]; do sleep 0.01; done; seq 1 100000; exit 8";
    let mut child = bench.command(&[], entrypoint).spawn().unwrap();
    bench.wait_for("ready");
    drop(child.stdout.take());
    fs::remove_file(bench.path().join("outputs/ready")).unwrap();
    assert_eq!(bench.done(child).status.code(), Some(8));
}

#[test]
fn a_later_attempt_begins_with_empty_folders() {
    let bench = Bench::new();
    bench.run(&[], "mkdir -p $OUTPUTS/a/b; echo partial > $OUTPUTS/a/b/c; echo one");
    assert!(bench.path().join("outputs/a/b/c").exists());
    fs::write(bench.path().join("logs/extra"), "x").unwrap();
    let done = bench.run(&["--attempt", "1"], "ls -A $OUTPUTS; echo two");
    assert_eq!(done.log, "two\n");
    assert_eq!(fs::read_dir(bench.path().join("logs")).unwrap().count(), 1);
}

#[test]
fn what_the_algorithm_wrote_as_its_report_is_overwritten() {
    let bench = Bench::new();
    let forge = format!("echo '{{\"exitCode\":0}}' > {}; exit 9", bench.path().join("report").display());
    assert_eq!(bench.run(&[], &forge).report.exit_code, Some(9));
}

#[test]
fn cpu_time_of_grandchildren_counts() {
    let done = Bench::new().run(&[], "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true");
    assert!(done.report.cpu_ms > 20, "{:?}", done.report);
}

#[test]
fn where_data_exists_the_folder_covers_it() {
    // The outer wrapper makes a `/data`, and the inner one covers it: its folder lies elsewhere.
    let (outer, inner) = (Bench::new(), Bench::new());
    fs::write(outer.path().join("inputs/x"), "covered\n").unwrap();
    fs::write(inner.path().join("inputs/x"), "seen\n").unwrap();
    let folder = |bench: &Bench| bench.path().to_str().unwrap().to_owned();
    let inner_command = inner.command(&["--as-data", &folder(&inner)], "cat /data/inputs/x");
    let words = std::iter::once(inner_command.get_program()).chain(inner_command.get_args());
    let line: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
    let arguments = inner_command.get_envs().find(|(name, _)| *name == ARGUMENTS).unwrap().1.unwrap().to_str().unwrap();
    let entrypoint = format!("cat /data/inputs/x; export {ARGUMENTS}='{arguments}'; exec {}", line.join(" "));
    let done = outer.run(&["--as-data", &folder(&outer)], &entrypoint);
    let log = fs::read_to_string(inner.path().join("logs/algorithm.log")).unwrap();
    if done.log.contains("does not allow") {
        assert!(!done.log.contains("covered") && !log.contains("seen"), "{}; {log}", done.log);
    } else {
        assert!(done.log.starts_with("covered\n"), "{}", done.log);
        assert_eq!(log, "seen\n");
    }

    let below = inner.command(&["--log", "/data/logs/inner.log", "--as-data", &folder(&inner)], "true");
    let arguments = below.get_envs().find(|(name, _)| *name == ARGUMENTS).unwrap().1.unwrap().to_str().unwrap();
    let entrypoint = format!("export {ARGUMENTS}='{arguments}'; exec {}", line.join(" "));
    let done = outer.run(&["--as-data", &folder(&outer)], &entrypoint);
    let log = fs::read_to_string(outer.path().join("logs/inner.log")).unwrap_or_default();
    assert!(log.contains("would be hidden") || done.log.contains("does not allow"), "{log}{}", done.log);
}

/// Whether this user may have namespaces here; if not, the wrapper must say so and go on, which is tested instead.
fn check_as_data(done: &Done) {
    if done.log.contains("/data is not this workflow's folder") {
        assert!(!done.log.contains("seen"), "{}", done.log);
        assert!(done.log.contains("does not allow"), "{}", done.log);
    } else {
        assert!(done.log.contains("seen"), "{}", done.log);
    }
}

#[test]
fn the_folder_is_seen_as_data_where_the_system_allows_it() {
    let bench = Bench::new();
    fs::write(bench.path().join("inputs/x"), "seen\n").unwrap();
    let folder = bench.path().to_str().unwrap().to_owned();
    let entrypoint = "cat /data/inputs/x; echo 1 > /data/outputs/y && cat $OUTPUTS/y; pwd; ls / > /dev/null; exit 2";
    let mut command = bench.command(&["--as-data", &folder], entrypoint);
    let done = bench.done(command.current_dir("/usr").spawn().unwrap());
    check_as_data(&done);
    assert_eq!(done.status.code(), Some(2));
    assert!(done.log.ends_with("/usr\n"), "the working directory stays: {}", done.log);
    if Path::new("/data").exists() {
        assert!(!Path::new("/data/inputs/x").exists(), "nothing is seen outside");
    }
}

#[test]
fn a_filter_s_words_are_kept_and_so_is_the_algorithm_s_log_as_it_was() {
    let bench = Bench::new();
    fs::write(bench.path().join("logs/algorithm.log"), "secret\n").unwrap();
    fs::write(bench.path().join("outputs/kept"), "x").unwrap();
    let data = bench.path().display();
    let filter =
        format!("echo looked; echo cleaned > {data}/logs/algorithm.log; echo why > {data}/outputs/note; exit 3");
    let done = bench.run(&["--filter"], &filter);
    assert_eq!((done.status.code(), done.report.exit_code), (Some(3), Some(3)));
    assert_eq!((done.log.as_str(), bench.text("adminlogs/filter.log").as_str()), ("cleaned\n", "looked\n"));
    assert_eq!((bench.text("adminlogs/algorithm.log"), bench.text("outputs/kept")), ("secret\n".into(), "x".into()));
    // Another attempt finds the first one's work, and keeps what was before it.
    bench.run(&["--filter", "--max-log", "8"], "echo 0123456789");
    assert_eq!(bench.text("adminlogs/algorithm.log"), "secret\n");
    assert!(bench.text("adminlogs/filter.log").contains("bytes left out here"));
    assert_eq!(bench.text("outputs/kept"), "x", "it is the algorithm's, not an earlier filter's");
}

#[test]
fn what_a_filter_says_as_its_termination_message_stays() {
    let bench = Bench::new();
    let report = bench.path().join("report");
    let mut child = bench.command(&["--filter"], &format!("echo no > {}; exit 4", report.display())).spawn().unwrap();
    assert_eq!((child.wait().unwrap().code(), bench.text("report")), (Some(4), "no\n".to_owned()));
}

#[test]
fn an_algorithm_s_log_that_is_a_link_is_not_followed_and_the_filter_has_its_say() {
    let bench = Bench::new();
    fs::write(bench.path().join("inputs/secret"), "c4nary").unwrap();
    std::os::unix::fs::symlink("../inputs/secret", bench.path().join("logs/algorithm.log")).unwrap();
    assert_eq!(bench.run(&["--filter"], "echo looked").status.code(), Some(0));
    assert!(!bench.path().join("adminlogs/algorithm.log").exists());
    assert!(bench.text("adminlogs/filter.log").contains("cannot be kept as it was"));
}

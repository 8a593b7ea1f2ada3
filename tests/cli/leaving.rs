//! Interrupts, and the promise that nothing goes on running: the bench itself fails a test that leaves a process.

use crate::bench::{Bench, Running, document};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An algorithm that leaves something, says that it has, and ends when asked to.
fn patient() -> Value {
    document("sh $ALGO", "echo part > $OUTPUTS/part; echo ready; exec sleep 1000")
}

/// An algorithm that hides as daemons do, in sessions of their own and below process 1, and ends for nobody.
fn stubborn() -> Value {
    let script = "trap '' TERM INT HUP
        setsid sh -c 'trap \"\" TERM HUP; (setsid sleep 1000 & ) ; sleep 1000' &
        (setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.1; done' >/dev/null 2>&1 &)
        sleep 0.2; echo ready; while :; do sleep 0.1; done";
    document("sh $ALGO", script)
}

#[track_caller]
fn assert_stopped(running: Running) {
    let ended = running.end().with(11);
    let answer = ended.json();
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("stopped"), &json!("Stopped")));
    assert_eq!((ended.file("outputs/part"), ended.log()), ("part\n".to_owned(), "ready\n".to_owned()));
    assert!(ended.err.contains("stopping"), "{}", ended.err);
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
}

#[test]
fn ctrl_c_stops_the_algorithm_and_stores_what_there_is() {
    let bench = Bench::new();
    let mut running = bench.start(&patient(), &["-o", "json"]);
    running.until("| ready").signal(Signal::SIGINT);
    assert_stopped(running);
    assert_eq!(bench.list("out").len(), 1, "the work folder is gone: {:?}", bench.list("out"));
}

#[test]
fn ctrl_c_of_a_terminal_goes_to_the_engine_and_not_to_the_algorithm() {
    let bench = Bench::new();
    let script =
        "trap 'echo interrupted' INT; trap 'echo asked to end; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    bench.write("job.json", document("sh $ALGO", script).to_string());
    let mut local = bench.program(&["local", "job.json", "--out", "out", "-o", "json"]);
    // The foreground group of a terminal: it gets the signal, all of it.
    std::os::unix::process::CommandExt::process_group(&mut local, 0);
    let mut running = Running::start(local, &bench);
    running.until("| ready").signal_group(Signal::SIGINT);
    let log = running.end().with(11).log();
    assert!(log.contains("asked to end") && !log.contains("interrupted"), "{log}");
}

#[test]
fn sigterm_means_the_same() {
    let bench = Bench::new();
    let mut running = bench.start(&patient(), &["-o", "json"]);
    running.until("| ready").signal(Signal::SIGTERM);
    assert_stopped(running);
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_nothing_lives_on() {
    let bench = Bench::new();
    let mut running = bench.start(&stubborn(), &["-o", "json", "--name", "wf"]);
    running.until("| ready").signal(Signal::SIGINT).until("stopping");
    assert!(bench.processes().len() >= 5, "{:#?}", bench.processes());
    let asked = Instant::now();
    running.signal(Signal::SIGINT);
    let ended = running.end().with(130);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(bench.processes().is_empty(), "not even for a moment: {:#?}", bench.processes());
    let work = bench.path("out/.work/wf").canonicalize().unwrap();
    assert!(ended.json()["error"].as_str().unwrap().contains(work.to_str().unwrap()), "{}", ended.out);
    assert_eq!(bench.list("out"), [".work"], "nothing is stored");
}

#[test]
fn an_algorithm_that_never_stops_is_killed_after_its_grace() {
    let bench = Bench::new();
    bench.write("job.json", stubborn().to_string());
    let mut local = bench.program(&["local", "job.json", "--out", "out", "-o", "json"]);
    local.env("OPERATOR_ENGINE__LIMITS__STOP_GRACE", "1s");
    let mut running = Running::start(local, &bench);
    running.until("| ready").signal(Signal::SIGINT).until("up to 1s");
    let asked = Instant::now();
    let ended = running.end().with(11);
    assert!(asked.elapsed() > Duration::from_millis(900), "it had its grace: {:?}", asked.elapsed());
    assert!(bench.processes().is_empty(), "{:#?}", bench.processes());
    assert_eq!(ended.json()["exitCode"], 137);
    assert_eq!(ended.log(), "ready\n");
}

#[test]
fn an_algorithm_that_kills_its_wrapper_does_not_live_on_without_it() {
    let bench = Bench::new();
    let ended = bench.shell("(setsid sleep 1000 &) ; echo part > $OUTPUTS/part; kill -KILL $PPID; sleep 1000").with(10);
    assert!(bench.processes().is_empty(), "{:#?}", bench.processes());
    assert_eq!((ended.json()["exitCode"].clone(), ended.file("outputs/part")), (json!(137), "part\n".to_owned()));
}

#[test]
fn the_algorithm_of_a_killed_engine_does_not_live_on() {
    let bench = Bench::new();
    let mut running = bench.start(&stubborn(), &[]);
    running.until("| ready").signal(Signal::SIGKILL);
    let killed = Instant::now();
    assert_eq!(running.end().signal, Some(9));
    bench.quiet(Duration::from_secs(5)).unwrap();
    assert!(killed.elapsed() < Duration::from_secs(5), "nobody waits for it, so it has no grace");
}

#[test]
fn a_download_of_a_killed_engine_does_not_go_on() {
    let bench = Bench::new();
    // A server that never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut job = patient();
    job["stages"][0]["input"] = json!([{"id": "a", "url": format!("http://{}/", listener.local_addr().unwrap())}]);
    bench.write("job.json", job.to_string());
    let mut local = bench.program(&["local", "job.json", "--out", "out"]);
    local.env("OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS", "127.0.0.0/8");
    let mut running = Running::start(local, &bench);
    let _connection = listener.accept().unwrap();
    running.signal(Signal::SIGKILL);
    drop(running);
    bench.quiet(Duration::from_secs(5)).unwrap();
}

#[test]
fn an_interrupt_during_configure_stops_the_workflow_before_the_algorithm() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut job = patient();
    job["stages"][0]["input"] = json!([{"id": "a", "url": format!("http://{}/", listener.local_addr().unwrap())}]);
    bench.write("job.json", job.to_string());
    let mut local = bench.program(&["local", "job.json", "--out", "out", "-o", "json"]);
    local.env("OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS", "127.0.0.0/8");
    let mut running = Running::start(local, &bench);
    let _connection = listener.accept().unwrap();
    running.signal(Signal::SIGINT);
    let ended = running.end().with(11);
    assert_eq!(ended.json()["outcome"], "stopped");
    assert!(!ended.err.contains("ready"), "{}", ended.err);
    assert!(ended.paths().contains(&"adminlogs/configure.log".to_owned()), "{:?}", ended.paths());
}

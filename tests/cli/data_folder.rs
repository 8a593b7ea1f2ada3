//! The literal `/data` of old algorithms, which has the workflow's folder behind it where the kernel gives user namespaces.

use crate::bench::{Bench, PROGRAM, document};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::{Command, Stdio},
};

/// `nobody` on most systems.
const NOBODY: &str = "65534";

fn old_algorithm() -> Value {
    let script = "cat /data/inputs/aa/0 > /data/outputs/copy; ls /data; id -u; echo said >> /data/logs/own.log";
    let mut job = document("sh /data/transformations/algorithm", script);
    job["stages"][0]["input"] = json!([{"id": "did:op:aa", "url": "inline:a.txt"}]);
    job
}

/// Says it loudly instead of testing nothing.
fn assert_namespaces(mut unshare: Command) {
    let allowed = unshare.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(
        allowed,
        "this kernel refuses user namespaces (`unshare -Um true` fails), so /data cannot be shown to algorithms here. \
         Allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0), or leave these \
         tests out: cargo test --test cli -- --skip data_folder"
    );
}

#[test]
fn literal_paths_work_for_whoever_runs_the_tests() {
    let bench = Bench::new();
    let mut unshare = bench.command("unshare");
    unshare.args(["-Um", "true"]);
    assert_namespaces(unshare);
    bench.write("a.txt", "from the input\n");
    let ended = bench.local(&old_algorithm(), &["-o", "json"]).with(0);
    assert_eq!(ended.file("outputs/copy"), "from the input\n");
    assert_eq!(ended.file("logs/own.log"), "said\n");
    assert!(ended.log().contains("transformations\n"), "{}", ended.log());
}

/// A command of an ordinary user: of `nobody` where root runs the tests. The program and its folder may lie where only
/// root can look, so it gets a copy.
fn ordinary(bench: &Bench, program: &str, arguments: &[&str]) -> Command {
    fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    if !bench.path("engine").exists() {
        fs::copy(PROGRAM, bench.path("engine")).unwrap();
    }
    if !nix::unistd::geteuid().is_root() {
        let mut command = bench.command(program);
        command.args(arguments);
        return command;
    }
    let mut command = bench.command("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", program]).args(arguments);
    command
}

#[test]
fn literal_paths_work_for_an_ordinary_user() {
    let bench = Bench::new();
    assert_namespaces(ordinary(&bench, "unshare", &["-Um", "true"]));
    bench.write("a.txt", "from the input\n").write("job.json", old_algorithm().to_string());
    let ended = bench.end(ordinary(&bench, "./engine", &["local", "job.json", "--out", "out", "-o", "json"])).with(0);
    assert_eq!(ended.file("outputs/copy"), "from the input\n");
    let user = ended.log().lines().any(|line| line.parse() == Ok(fs::metadata(bench.path("out")).unwrap().uid()));
    assert!(user && !ended.log().contains("\n0\n"), "the user stays the same: {}", ended.log());
    assert_eq!(bench.list("out").len(), 1, "{:?}", bench.list("out"));
}

#[test]
fn an_ordinary_user_whose_results_folder_cannot_be_written_is_told() {
    let bench = Bench::new();
    bench.write("job.json", document("sh $ALGO", "echo ran").to_string()).write("locked/file", "");
    fs::set_permissions(bench.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    for out in ["locked", "locked/below"] {
        let ended = bench.end(ordinary(&bench, "./engine", &["local", "job.json", "--out", out])).with(1);
        assert!(ended.err.contains("--out") && ended.err.contains("ermission denied"), "{}", ended.err);
    }
    fs::set_permissions(bench.path("locked"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_an_ordinary_user_made_unreadable_is_refused_and_removed() {
    let bench = Bench::new();
    let script = "mkdir $OUTPUTS/d; echo x > $OUTPUTS/d/x; echo y > $OUTPUTS/y; chmod 0 $OUTPUTS/d $OUTPUTS/y";
    bench.write("job.json", document("sh $ALGO", script).to_string());
    let ended = bench.end(ordinary(&bench, "./engine", &["local", "job.json", "--out", "out", "-o", "json"])).with(0);
    let refused = ended.json()["refused"].to_string();
    assert!(refused.contains("outputs/d") && refused.contains("outputs/y"), "{refused}");
    assert_eq!(bench.list("out").len(), 1, "the work folder is gone: {:?}", bench.list("out"));
}

//! `operator-engine exec` as users start it: a namespace is given to a process with one thread only, and a test harness
//! has more.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

/// Any user that is not root: `nobody` on most systems.
const SOMEBODY: u32 = 65534;

/// A command as an ordinary user, where this one is root.
fn as_somebody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    command.current_dir("/usr");
    command
}

/// A workflow's folder that anybody may write to, with the program beside it: it may lie where only its owner can look.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("exec-").tempdir_in("/var/tmp").unwrap();
    for name in ["", "inputs", "outputs", "logs"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_operator-engine"), dir.path().join("program")).unwrap();
    dir
}

#[test]
fn a_program_that_is_not_for_this_user_says_what_images_of_roots_need() {
    let dir = folder();
    let (theirs, report) = (dir.path().join("theirs"), dir.path().join("report"));
    fs::write(&theirs, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
    if !nix::unistd::geteuid().is_root() {
        // Nobody's here, which comes to the same.
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let mut command = as_somebody(&dir.path().join("program"));
    command.args(["exec", "--data"]).arg(dir.path()).arg("--termination-log").arg(&report).arg("--").arg(&theirs);
    assert_eq!(command.stderr(Stdio::null()).status().unwrap().code(), Some(126));
    for text in
        [fs::read_to_string(report).unwrap(), fs::read_to_string(dir.path().join("logs/algorithm.log")).unwrap()]
    {
        assert!(text.contains("insists on root") && text.contains("pods.allow_root"), "{text}");
    }
}

#[test]
fn an_ordinary_user_sees_the_folder_as_data_where_the_system_allows_it() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("inputs/x"), "seen\n").unwrap();
    // util-linux's `unshare` asks the kernel the same question.
    let allowed = as_somebody("unshare".as_ref()).args(["-Um", "true"]).status().is_ok_and(|status| status.success());

    let status = as_somebody(&path("program"))
        .args(["exec", "--data"])
        .arg(dir.path())
        .arg("--termination-log")
        .arg(path("report"))
        .arg("--as-data")
        .arg(dir.path())
        .args(["--", "cat /data/inputs/x && echo 1 > /data/outputs/y; id -u; pwd; exit 3"])
        .status()
        .unwrap();

    let log = fs::read_to_string(path("logs/algorithm.log")).unwrap_or_default();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.ends_with("/usr\n"), "the working directory stays: {log}");
    if nix::unistd::geteuid().is_root() {
        assert!(log.contains(&format!("{SOMEBODY}\n")), "the user stays the same: {log}");
    }
    if allowed {
        assert!(log.starts_with("seen\n"), "{log}");
        assert_eq!(fs::read_to_string(path("outputs/y")).unwrap(), "1\n");
    } else {
        assert!(log.contains("/data is not this workflow's folder"), "{log}");
    }
}

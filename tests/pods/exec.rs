//! `operator-engine exec` as users start it: a namespace is given to a process with one thread only, and a test harness
//! has more.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

/// Any user that is not root: `nobody` on most systems.
const SOMEBODY: u32 = 65534;

#[test]
fn an_ordinary_user_sees_the_folder_as_data_where_the_system_allows_it() {
    let dir = tempfile::Builder::new().prefix("exec-").tempdir_in("/var/tmp").unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["", "inputs", "outputs", "logs"] {
        fs::create_dir_all(path(name)).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(path("inputs/x"), "seen\n").unwrap();
    // The program may lie where only its owner can look; its copy does not.
    fs::copy(env!("CARGO_BIN_EXE_operator-engine"), path("program")).unwrap();
    let as_somebody = |program: &std::path::Path| {
        let mut command = Command::new(program);
        if nix::unistd::geteuid().is_root() {
            command.uid(SOMEBODY).gid(SOMEBODY);
        }
        command.current_dir("/usr");
        command
    };
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

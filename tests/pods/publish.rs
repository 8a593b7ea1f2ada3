//! `operator-engine publish`: killed at any time, and with files larger than its memory.

use operator_engine::{
    storage::manifest::Manifest,
    workflow::{
        digest::Sha256,
        report::{self, ExecReport, PublishReport},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("publish-").tempdir_in("/var/tmp").unwrap();
        for folder in ["data/outputs", "data/logs", "data/adminlogs"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Self { dir }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// The arguments of a publish command; `attempt` may be anything that the manifest is to differ by.
    fn arguments(&self, attempt: &str) -> Vec<String> {
        let facts = serde_json::json!({
            "job": "wf-1", "outcome": "succeeded", "reason": null, "message": attempt, "exitCode": 0, "image": "x",
            "document": Sha256::of("x"), "usage": null, "times": {}, "expiresAt": null, "release": true,
        });
        let target = serde_json::json!({ "kind": "directory", "path": self.path("results") });
        let text = |path: &str| self.path(path).display().to_string();
        let (data, report) = (text("data"), text("report"));
        ["publish", "--data", &data, "--termination-log", &report, "--facts"]
            .map(str::to_owned)
            .into_iter()
            .chain([facts.to_string(), "--target".to_owned(), target.to_string()])
            .collect()
    }

    fn command(&self, attempt: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-engine"));
        command.args(self.arguments(attempt)).stdout(Stdio::null());
        command
    }

    fn report(&self) -> PublishReport {
        report::parse(&fs::read_to_string(self.path("report")).unwrap()).unwrap()
    }

    /// The manifest, with all its files checked; none if there is no manifest.
    fn manifest(&self) -> Option<Manifest> {
        self.manifest_in("results")
    }

    fn manifest_in(&self, place: &str) -> Option<Manifest> {
        let results = self.path(place);
        let manifest = Manifest::parse(&fs::read(results.join("wf-1/manifest.json")).ok()?).unwrap();
        for file in &manifest.files {
            let bytes = fs::read(results.join(&file.key)).unwrap_or_else(|_| panic!("{} is missing", file.key));
            assert_eq!(Sha256::of(bytes), file.sha256, "{}", file.key);
        }
        Some(manifest)
    }
}

#[test]
fn killed_at_any_time_the_result_is_whole_or_absent() {
    let bench = Bench::new();
    let mut unfinished = 0;
    for round in 0..40_u64 {
        // Every round has other contents for the same files, and other files.
        for n in 0..30 {
            fs::write(bench.path(&format!("data/outputs/{n}")), format!("{round} {n}")).unwrap();
        }
        fs::write(bench.path(&format!("data/outputs/of-round-{round}")), "x").unwrap();
        let _ = fs::remove_file(bench.path(&format!("data/outputs/of-round-{}", round.wrapping_sub(1))));
        let round = round.to_string();
        let mut child = bench.command(&round).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 * round.parse::<u64>().unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        let manifest = bench.manifest();
        // Whatever a manifest says is checked above; it may be this round's or an earlier one's.
        unfinished += usize::from(manifest.is_none_or(|manifest| manifest.facts.message != Some(round)));
    }
    assert!(unfinished > 0, "no kill came in time");
    assert!(bench.command("last").status().unwrap().success());
    let manifest = bench.manifest().unwrap();
    assert_eq!(manifest.files.len(), 32);
    assert_eq!(bench.report().published.unwrap().files, 32);
    let left = fs::read_dir(bench.path("results/wf-1/data/outputs")).unwrap().count();
    assert_eq!(left, 31, "nothing of the killed attempts is left behind");
}

#[test]
fn killed_at_any_time_no_outputs_are_there_without_their_admin_logs() {
    let bench = Bench::new();
    let apart = serde_json::json!({ "kind": "directory", "path": bench.path("results/_adminlogs") }).to_string();
    let (mut none, mut all) = (0, 0);
    for round in 0..20_u64 {
        for n in 0..30 {
            fs::write(bench.path(&format!("data/outputs/{n}")), format!("{round} {n}")).unwrap();
            fs::write(bench.path(&format!("data/adminlogs/{n}.log")), format!("{round} {n}")).unwrap();
        }
        let mut child = bench.command(&round.to_string()).args(["--adminlogs", &apart]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(8 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let of_round = |manifest: &Manifest| manifest.facts.message == Some(round.to_string());
        let [outputs, adminlogs] =
            ["results", "results/_adminlogs"].map(|place| bench.manifest_in(place).filter(of_round));
        assert!(outputs.is_none() || adminlogs.is_some(), "round {round}: outputs without their admin logs");
        none += usize::from(adminlogs.is_none());
        all += usize::from(outputs.is_some());
    }
    assert!(none > 0, "no kill came in time ({all} came too late)");
    assert!(bench.command("last").args(["--adminlogs", &apart]).status().unwrap().success());
    let [outputs, adminlogs] = ["results", "results/_adminlogs"].map(|place| bench.manifest_in(place).unwrap());
    assert_eq!((outputs.files.len(), adminlogs.files.len()), (30, 31));
    let published = bench.report().published.unwrap();
    assert!(published.adminlogs.unwrap().store.ends_with("/results/_adminlogs"));
    assert_eq!(published.files, 61);
}

#[test]
fn half_a_credential_is_a_fault_that_waits_for_the_admin_and_tells_no_secret() {
    let bench = Bench::new();
    let mut arguments = bench.arguments("once");
    *arguments.last_mut().unwrap() = r#"{"kind":"s3","bucket":"out","region":"x"}"#.to_owned();
    let output = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
        .args(arguments)
        .env("AWS_SECRET_ACCESS_KEY", "s3cret")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let fault = bench.report().fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry), ("InvalidCredentials", true));
    assert!(fault.message.contains("AWS_SECRET_ACCESS_KEY") && fault.message.contains("storage.secret"), "{fault:?}");
    let said = format!("{fault:?}{output:?}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_store_that_cannot_be_used_is_told_as_one_to_wait_for_and_once_mended_has_the_whole_result() {
    let bench = Bench::new();
    fs::write(bench.path("data/outputs/x"), "x").unwrap();
    fs::write(bench.path("results"), "a file, where the store's folder is to be").unwrap();
    for _ in 0..2 {
        assert_eq!(bench.command("once").stderr(Stdio::null()).status().unwrap().code(), Some(1));
        let fault = bench.report().fault.unwrap();
        assert_eq!((fault.reason.as_str(), fault.retry), ("StorageMisconfigured", true), "{fault:?}");
        assert!(fault.message.contains("check the storage settings"), "{fault:?}");
    }
    fs::remove_file(bench.path("results")).unwrap();
    assert!(bench.command("once").status().unwrap().success());
    assert_eq!(bench.manifest().unwrap().files.len(), 2);
}

#[test]
fn a_file_larger_than_its_memory_goes_through() {
    let bench = Bench::new();
    // Sparse: large for its reader, and for the store only.
    let len = 256 * 1024 * 1024;
    fs::File::create(bench.path("data/outputs/big")).unwrap().set_len(len).unwrap();
    // The wrapper for algorithms measures what its child needs.
    let words = bench.arguments("once").iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let status = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
        .args(["exec", "--data"])
        .arg(bench.path("wrapper"))
        .arg("--termination-log")
        .arg(bench.path("measured"))
        .args(["--", &format!("{} {words}", env!("CARGO_BIN_EXE_operator-engine"))])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let measured: ExecReport = report::parse(&fs::read_to_string(bench.path("measured")).unwrap()).unwrap();
    assert!(measured.peak_memory_bytes < len / 3, "{measured:?}");
    assert_eq!(bench.report().published.unwrap().files, 2);
    assert_eq!(fs::metadata(bench.path("results/wf-1/data/outputs/big")).unwrap().len(), len);
}

#[test]
fn a_task_that_cannot_be_understood_is_reported() {
    let bench = Bench::new();
    let report = bench.path("report");
    let status = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
        .args(["publish", "--facts", "{}", "--target", "{}", "--termination-log"])
        .arg::<&Path>(&report)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let fault = bench.report().fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry), ("InvalidTask", true));
}

#[test]
fn a_copy_of_an_input_is_reported_and_stays_inside_until_the_record_says_so() {
    let bench = Bench::new();
    let input: Vec<u8> = (0..40_000_u32).flat_map(|n| Sha256::of(n.to_le_bytes()).as_bytes()[..4].to_vec()).collect();
    fs::create_dir(bench.path("data/inputs")).unwrap();
    fs::write(bench.path("data/inputs/0"), &input).unwrap();
    let list = serde_json::json!([{ "path": "inputs/0", "size": input.len(), "sha256": Sha256::of(&input) }]);
    fs::write(bench.path("data/inputs.json"), list.to_string()).unwrap();
    let rules = serde_json::json!({
        "maxBytes": null, "maxFiles": null, "allowedTypes": [], "refuseCopies": true, "shortestCopy": 1024, "maxTimeMs": 600_000,
    });
    let attempt =
        || bench.command("x").args(["--leaks", &rules.to_string()]).stderr(Stdio::null()).status().unwrap().code();

    // Nearly a copy.
    let mut output = [&[7; 99_999][..], &input, b"more"].concat();
    output[99_999 + 77_777] ^= 1;
    fs::write(bench.path("data/outputs/x"), &output).unwrap();
    fs::write(bench.path("data/adminlogs/configure.log"), "fetched").unwrap();
    assert_eq!(attempt(), Some(0));
    assert_eq!(bench.manifest().unwrap().files.len(), 3);
    fs::remove_dir_all(bench.path("results")).unwrap();

    output[99_999 + 77_777] ^= 1;
    fs::write(bench.path("data/outputs/x"), &output).unwrap();
    for _ in 0..2 {
        assert_eq!(attempt(), Some(1));
        let fault = bench.report().fault.unwrap();
        assert_eq!((fault.reason.as_str(), fault.retry, fault.withheld), ("InputCopied", false, true), "{fault:?}");
        assert_eq!(fs::read_dir(bench.path("results")).map_or(0, Iterator::count), 0);
    }

    let mut arguments = bench.arguments("x");
    for word in &mut arguments {
        *word = word.replace("\"release\":true", "\"release\":false");
    }
    let status = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
        .args(arguments)
        .args(["--leaks", &rules.to_string()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let paths: Vec<_> = bench.manifest().unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(paths, ["adminlogs/configure.log", "adminlogs/publish.log"]);
}

#[test]
fn a_misspelt_rule_is_no_rule_and_so_nothing_is_stored() {
    let bench = Bench::new();
    let status = bench.command("x").args(["--leaks", r#"{"maxFile":1}"#]).stderr(Stdio::null()).status().unwrap();
    assert_eq!((status.code(), bench.report().fault.unwrap().reason.as_str()), (Some(1), "InvalidTask"));
}

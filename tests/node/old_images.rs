//! Algorithm images as they were written for the old engine: whatever they do, it ends in order, and what they may not touch
//! stays as it was. (Images without a shell are in `users`.)

use crate::{
    cluster::Cluster,
    site::{Site, document, note, script, told},
};
use operator_engine::workflow::{Outcome, Record, State, digest::Sha256};
use serde_json::{Value, json};
use std::{fs, time::Instant};

const SUCCEEDED: (Option<Outcome>, Option<&str>) = (Some(Outcome::Succeeded), None);

/// What the manifest says that the algorithm was given, by path.
async fn given(site: &Site, name: &str, path: &str) -> String {
    let manifest = fs::read(site.results(name).await.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let inputs = manifest["inputs"].as_array().unwrap().iter();
    let found = inputs.into_iter().find(|input| input["path"] == path);
    found.unwrap_or_else(|| panic!("{path} was not given: {manifest}"))["sha256"].as_str().unwrap().to_owned()
}

pub(crate) async fn a_shell_pipeline_as_its_entrypoint(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let entrypoint = "mkdir -p $OUTPUTS/deep; sort -r $ALGO | tee \"$OUTPUTS/deep/reversed\" | wc -l > $OUTPUTS/lines && echo \"done ($?)\"";
    let piped = document("busybox:1.37", entrypoint, "a\nc\nb\n");
    let record = site.run("a shell pipeline as entrypoint", "pipeline", &piped).await;
    assert_eq!(told(&record), SUCCEEDED, "{record:?}");
    assert_eq!(site.text("pipeline", "outputs/deep/reversed").await, "c\nb\na\n");
    assert_eq!(site.text("pipeline", "outputs/lines").await.trim(), "3");
    assert_eq!(site.text("pipeline", "logs/algorithm.log").await, "done (0)\n");
}

pub(crate) async fn algo_twice_in_its_entrypoint(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let show = "echo \"$0 $1 $2\"; [ -x $0 ] && cmp $0 $1 && echo same";
    let twice = document("busybox:1.37", "sh $ALGO $ALGO --file=${ALGO}", show);
    let record = site.run("$ALGO in it three times", "twice", &twice).await;
    assert_eq!(told(&record), SUCCEEDED, "{record:?}");
    let algorithm = "/data/transformations/algorithm";
    let said = format!("{algorithm} {algorithm} --file={algorithm}\nsame\n");
    assert_eq!(site.text("twice", "logs/algorithm.log").await, said);
}

/// Its program is root's alone. It is not root here, and is told what it takes.
pub(crate) async fn one_that_runs_as_root_only(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let rooted = document("operator-engine.test/rootonly:1", "/roots/sh $ALGO", "id -u");
    let record = site.run("it insists on root", "rooted", &rooted).await;
    assert_eq!(told(&record), (Some(Outcome::Failed), Some("CannotStart")), "{record:?}");
    let message = record.message.as_deref().unwrap();
    for word in ["/roots/sh", "user 65532", "insists on root", "pods.allow_root"] {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    assert!(site.text("rooted", "logs/algorithm.log").await.contains("pods.allow_root"), "its author reads it too");
}

/// The admin allows it, in a namespace that does.
pub(crate) async fn one_that_runs_as_root_only_where_that_is_allowed(cluster: &'static Cluster) {
    let settings = "[pods]\nallow_root = true\n[images]\nfilter = \"\"\n";
    let site = Site::of_its_own(cluster, "rooted", settings).await;
    let label = ["label", "namespace", "rooted", "pod-security.kubernetes.io/enforce=baseline", "--overwrite"];
    cluster.kubectl(&label).unwrap();
    let show = "id -u; cat /proc/self/status | grep CapEff; touch /etc/mine && echo its own files are its own; \
                echo x > $OUTPUTS/x; umask 077; echo y > $OUTPUTS/y; echo z > $INPUTS/z";
    let rooted = document("operator-engine.test/rootonly:1", "/roots/sh $ALGO", show);
    let record = site.run("it insists on root, and may", "job", &rooted).await;
    // Its last command failed: inputs are read-only for root too.
    assert_eq!(told(&record), (Some(Outcome::Failed), Some("AlgorithmFailed")), "{record:?}");
    let log = fs::read_to_string(log_of(&record, &site).await).unwrap();
    assert!(log.starts_with("0\nCapEff:\t0000000000000000\nits own files are its own\n"), "{log}");
    assert!(log.contains("Read-only file system"), "{log}");
    let manifest = fs::read(site.results("job").await.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(site.text("job", "outputs/x").await, "x\n");
    let refused = &manifest["refused"];
    assert_eq!(refused[0]["path"], "outputs/y", "what only root may read is told, and not lost silently: {manifest}");
    site.clean("job").await;
    site.away().await;
}

async fn log_of(record: &Record, site: &Site) -> std::path::PathBuf {
    assert!(record.results.is_some(), "{record:?}");
    site.results("job").await.join("data/logs/algorithm.log")
}

pub(crate) async fn one_that_writes_into_its_inputs(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let spoil =
        "for f in $INPUTS/algoCustomData.json $INPUTS/new /data/ddos/new $0 /data/transformations/new /data/bin/new \
                 /data/bin/operator-engine; do
                   (echo spoilt > $f) 2>&1 | grep -q 'Read-only file system' || echo \"$f could be written\"
                 done
                 rm -f $INPUTS/algoCustomData.json 2> /dev/null && echo removed
                 mv $INPUTS /data/outputs/inputs 2> /dev/null && echo moved
                 ln -s /etc $INPUTS/link 2> /dev/null && echo linked
                 [ -e /data/adminlogs ] && echo it sees the logs of the admin
                 [ -e /workflow ] && echo it sees the document
                 cat $INPUTS/algoCustomData.json";
    let mut spoiling = script(spoil);
    spoiling["stages"][0]["algorithm"]["algocustomdata"] = json!({"kept": true});
    let record = site.run("it writes into its inputs", "spoiling", &spoiling).await;
    assert_eq!(told(&record), SUCCEEDED, "{record:?}");
    assert_eq!(site.text("spoiling", "logs/algorithm.log").await, "{\"kept\":true}");
    let kept = Sha256::of("{\"kept\":true}").to_string();
    assert_eq!(given(site, "spoiling", "inputs/algoCustomData.json").await, kept);
    assert_eq!(given(site, "spoiling", "transformations/algorithm").await, Sha256::of(spoil).to_string());

    // One that does not look whether it could: the failure is its own.
    let careless = script("echo spoilt > $INPUTS/new");
    let record = site.run("it writes into its inputs, carelessly", "careless", &careless).await;
    assert_eq!((told(&record), record.exit_code), ((Some(Outcome::Failed), Some("AlgorithmFailed")), Some(1)));
    assert!(site.text("careless", "logs/algorithm.log").await.contains("Read-only file system"));
}

/// It lets itself be killed only, and so do its children.
const STUBBORN: &str = "trap '' TERM INT HUP; (trap '' TERM; while :; do sleep 1; done) & echo begun; echo early > $OUTPUTS/early; \
                        while :; do sleep 1; done";

pub(crate) async fn one_that_never_stops(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let mut stubborn = script(STUBBORN);
    stubborn["stages"][0]["compute"] = json!({"maxtime": 3});
    let record = site.run("it never stops, and its time is up", "stubborn", &stubborn).await;
    assert_eq!(told(&record), (Some(Outcome::TimedOut), Some("MaxTimeExceeded")), "{record:?}");
    assert_eq!((record.stopreq, record.failures), (2, 0), "{record:?}");
    assert_eq!(site.text("stubborn", "outputs/early").await, "early\n");
    site.clean("stubborn").await;

    let _room = cluster.room.acquire().await.unwrap();
    let begun = Instant::now();
    site.submit("stubborn-2", &script(STUBBORN)).await;
    site.pod_runs("stubborn-2-algorithm-0").await;
    site.label("stubborn-2", State::Stopping).await;
    let record = site.finished("stubborn-2").await;
    note("it never stops, and somebody wants it to", &record, begun.elapsed());
    assert_eq!((record.outcome, record.stopreq), (Some(Outcome::Stopped), 1), "{record:?}");
    site.clean("stubborn-2").await;
}

/// What is left in the background neither holds up the end nor goes on: not beside the filter, not while results are stored.
pub(crate) async fn one_that_forks(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let daemons = "for n in 1 2 3; do
                     (setsid sh -c \"trap '' TERM HUP; while :; do echo $n >> $OUTPUTS/daemon; sleep 0.1; done\" forked-daemon &)
                   done
                   sleep 300 &
                   while [ ! -s $OUTPUTS/daemon ]; do sleep 0.1; done; echo parent is done";
    let record = site.run("it leaves daemons behind", "forking", &script(daemons)).await;
    assert_eq!(told(&record), SUCCEEDED, "{record:?}");
    assert_eq!(site.text("forking", "logs/algorithm.log").await, "parent is done\n");
    let wall = record.usage.unwrap().wall_ms;
    assert!(wall < 60_000, "it was waited for what it left behind: {wall} ms");
    // The node's processes are this machine's.
    assert_eq!(running("forked-daemon"), Vec::<String>::new());
    let (now, published) = {
        let manifest = fs::read(site.results("forking").await.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let file = manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == "outputs/daemon").unwrap();
        let stored = site.result("forking", "outputs/daemon").await.unwrap();
        (Sha256::of(stored).to_string(), file["sha256"].as_str().unwrap().to_owned())
    };
    assert_eq!(now, published, "nobody wrote any more while it was stored");

    // A hundred at once, whose parent is told to end and does not wait for them.
    let many = "n=0; while [ $n -lt 100 ]; do sh -c 'sleep 300; :' forked-many & n=$((n+1)); done; exit 5";
    let record = site.run("it leaves a hundred behind and fails", "forking-2", &script(many)).await;
    assert_eq!((told(&record).1, record.exit_code), (Some("AlgorithmFailed"), Some(5)), "{record:?}");
    assert_eq!(running("forked-many"), Vec::<String>::new());
}

/// The processes of this machine with a word in their arguments.
fn running(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(word)).collect()
}

//! Failures that are the workflow's own: each is told apart from the others and from the platform's, and none is tried again.

use crate::{
    cluster::Cluster,
    site::{document, script, told},
};
use operator_engine::workflow::{Outcome, Record};
use serde_json::json;

const FAILED: Option<Outcome> = Some(Outcome::Failed);

/// The message holds all these words, and nothing was tried twice.
fn says(record: &Record, words: &[&str]) {
    let message = record.message.as_deref().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    assert_eq!(record.failures, 0, "the platform was charged: {record:?}");
}

pub(crate) async fn an_image_that_does_not_exist(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let nowhere = document("registry.invalid/nobody/nowhere:1", "sh $ALGO", "true");
    let record = site.run("an image that does not exist", "no-image", &nowhere).await;
    assert_eq!(told(&record), (FAILED, Some("ImageNotAvailable")), "{record:?}");
    says(&record, &["registry.invalid/nobody/nowhere:1", "check its name"]);
    assert_eq!(record.exit_code, None);
    assert!(record.results.is_some(), "the logs of configure did not come out");
    site.clean("no-image").await;
}

pub(crate) async fn an_image_without_a_shell(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let plain = document("operator-engine.test/shellless:1", "/shellless one $ALGO", "irrelevant");
    let record = site.run("an image without a shell", "no-shell", &plain).await;
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    let arguments = "one\n/data/transformations/algorithm\n";
    assert_eq!(site.text("no-shell", "outputs/arguments.txt").await, arguments);
    assert_eq!(site.text("no-shell", "logs/algorithm.log").await, arguments);
}

pub(crate) async fn an_image_without_a_shell_and_an_entrypoint_that_needs_one(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let needs_shell = document("operator-engine.test/shellless:1", "/shellless one && true", "irrelevant");
    let record = site.run("it needs a shell, and there is none", "wants-shell", &needs_shell).await;
    assert_eq!(told(&record), (FAILED, Some("CannotStart")), "{record:?}");
    says(&record, &["needs a shell", "/bin/sh"]);
}

pub(crate) async fn an_exit_code(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let record = site.run("exit code 3", "exit-3", &script("echo so far > $OUTPUTS/part; echo why; exit 3")).await;
    assert_eq!(told(&record), (FAILED, Some("AlgorithmFailed")), "{record:?}");
    assert_eq!(record.exit_code, Some(3));
    says(&record, &["exit code 3", "logs/algorithm.log"]);
    assert_eq!(site.text("exit-3", "logs/algorithm.log").await, "why\n");
    assert_eq!(site.text("exit-3", "outputs/part").await, "so far\n");
}

pub(crate) async fn a_signal(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let record = site.run("killed by a signal", "signal", &script("kill -SEGV $$")).await;
    assert_eq!(told(&record), (FAILED, Some("AlgorithmFailed")), "{record:?}");
    assert_eq!(record.exit_code, Some(139));
    says(&record, &["signal 11"]);
}

pub(crate) async fn out_of_memory(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let large = document("operator-engine.test/shellless:1", "/shellless allocate=400", "irrelevant");
    let record = site.run("out of memory", "oom", &large).await;
    assert_eq!(told(&record), (FAILED, Some("OutOfMemory")), "{record:?}");
    assert_eq!(record.exit_code, Some(137));
    says(&record, &["more memory than the environment gives"]);
}

/// The kernel kills the largest process, which may be a child that the algorithm waits for. (With control groups of version 2
/// the kubelet has it kill all of the container at once.)
pub(crate) async fn a_child_out_of_memory(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let child = script(
        "head -c 400000000 /dev/zero | tail -n 1 > /dev/null || echo it failed; \
                        cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null; exit 1",
    );
    let record = site.run("a child out of memory", "oom-child", &child).await;
    assert_eq!(told(&record), (FAILED, Some("OutOfMemory")), "{record:?}");
    if record.exit_code == Some(1) {
        let log = site.text("oom-child", "logs/algorithm.log").await;
        assert!(log.contains("it failed"), "{log}");
        // Where the wrapper looks, should the runtime not tell.
        assert!(log.contains("oom_kill 1"), "{log}");
    }
}

pub(crate) async fn over_its_time(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let mut slow = script("trap 'echo saved > $OUTPUTS/part; exit 0' TERM; sleep 300 & wait");
    slow["stages"][0]["compute"] = json!({"maxtime": 3});
    let record = site.run("over its maxtime", "over-time", &slow).await;
    assert_eq!(told(&record), (Some(Outcome::TimedOut), Some("MaxTimeExceeded")), "{record:?}");
    assert_eq!(record.stopreq, 2);
    says(&record, &["time was up"]);
    assert_eq!(site.text("over-time", "outputs/part").await, "saved\n");
}

pub(crate) async fn more_local_disk_than_there_is(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let full = script("head -c 200000000 /dev/zero > /tmp/large; sleep 300");
    let record = site.run("more local disk than there is", "disk", &full).await;
    assert_eq!(told(&record), (FAILED, Some("OutOfDisk")), "{record:?}");
    says(&record, &["more local disk than the environment gives", "EmptyDir"]);
}

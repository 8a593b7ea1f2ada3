//! The engine itself, with what the manifests give it: its arguments, its configuration, its account's token.

use crate::{ENGINE, JOBS, cluster::Cluster};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

#[test]
fn the_shipped_engine_takes_up_the_penguins_under_the_shipped_role() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    let engine = Engine::start(&cluster);
    cluster.wait_for("readiness", || engine.page("/readyz").starts_with("HTTP/1.1 200"));

    cluster.kubectl(&["apply", "-n", JOBS, "-k", "manifests/examples/penguins"]).unwrap();
    let pods = || cluster.get(JOBS, "pods")["items"].as_array().unwrap().clone();
    cluster.wait_for("the first pod", || !pods().is_empty());
    let pod = pods().remove(0);
    let labels = &pod["metadata"]["labels"];
    assert_eq!((&labels["workflow"], &labels["component"]), (&json!("penguins"), &json!("configure")));
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "workflow");
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["containers"][0]["image"], "operator-engine:0.1.0", "the Deployment's own image");
    let volumes = spec["volumes"].to_string();
    assert!(!volumes.contains("operator-engine-results"), "configure sees the results: {volumes}");

    assert!(engine.page("/livez").starts_with("HTTP/1.1 200"));
    let (status, said) = engine.end();
    assert_eq!(status, Some(0), "{said}");
    for word in ["forbidden", "violates PodSecurity", "\"ERROR\"", " ERROR "] {
        assert!(!said.contains(word), "{said}");
    }
}

#[test]
fn the_shipped_configuration_is_understood_and_puts_results_onto_the_shipped_volume() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    assert_eq!(effective(&cluster, ENGINE, "engine.jobs_namespace"), json!(JOBS));
    let claim = effective(&cluster, ENGINE, "storage.claim");
    assert_eq!(cluster.get(JOBS, "pvc/operator-engine-results")["metadata"]["name"], claim);
    let account = effective(&cluster, ENGINE, "pods.service_account");
    assert_eq!(cluster.get(JOBS, "serviceaccount/workflow")["metadata"]["name"], account);
}

/// The value in force of a key, as `check` tells it of the configuration that a namespace's Deployment mounts.
pub(crate) fn effective(cluster: &Cluster, namespace: &str, key: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
        .args(["check", "-o", "json", "--config"])
        .arg(mounted(cluster, namespace))
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_str(&text).unwrap();
    find(&told, key).unwrap_or_else(|| panic!("{key} is not in {text}"))
}

/// The Deployment's configuration as the kubelet would mount it: links into a folder that is replaced as a whole.
fn mounted(cluster: &Cluster, namespace: &str) -> PathBuf {
    let spec = &cluster.get(namespace, "deployment/operator-engine")["spec"]["template"]["spec"];
    let name = spec["volumes"][0]["configMap"]["name"].as_str().unwrap();
    let data = cluster.get(namespace, &format!("configmap/{name}"))["data"].clone();
    let folder = tempfile::tempdir_in(cluster.folder("mounts")).unwrap().keep();
    let real = folder.join("..2026_01_01");
    fs::create_dir(&real).unwrap();
    symlink("..2026_01_01", folder.join("..data")).unwrap();
    for (key, text) in data.as_object().unwrap() {
        fs::write(real.join(key), text.as_str().unwrap()).unwrap();
        symlink(format!("..data/{key}"), folder.join(key)).unwrap();
    }
    folder
}

/// The engine's process, beside the cluster instead of in a pod.
pub(crate) struct Engine {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Engine {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let container = &cluster.get(ENGINE, "deployment/operator-engine")["spec"]["template"]["spec"]["containers"][0];
        let config = mounted(cluster, ENGINE);
        let place = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
        let arguments = container["args"].as_array().unwrap().iter().map(|argument| match argument.as_str().unwrap() {
            argument if argument == place => config.to_string_lossy().into_owned(),
            argument => argument.to_owned(),
        });
        // The instance is the pod's UID, which the API server fills in.
        let variables = container["env"].as_array().unwrap().iter().map(|variable| {
            let value = variable["value"].as_str().unwrap_or("11111111-2222-3333-4444-555555555555");
            (variable["name"].as_str().unwrap(), value)
        });
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = cluster.folder("engine").join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
            .args(arguments)
            .arg("--kubeconfig")
            .arg(kubeconfig(cluster))
            .env_clear()
            .envs(variables)
            .env("OPERATOR_ENGINE__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).unwrap())
            .stderr(fs::File::options().append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, port, log }
    }

    /// The whole answer, or nothing while it does not listen.
    pub(crate) fn page(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }

    /// Ends it as the kubelet would: its exit code, and what it logged.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One with the service account's own token, as its pods get it.
fn kubeconfig(cluster: &Cluster) -> PathBuf {
    let token = cluster.kubectl(&["create", "token", "-n", ENGINE, "operator-engine"]).unwrap();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {
            "server": cluster.environment.url, "certificate-authority": cluster.environment.ca}}],
        "users": [{"name": "u", "user": {"token": token.trim()}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": ENGINE}}],
        "current-context": "x",
    });
    let path = cluster.folder("engine").join("kubeconfig.json");
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// `check` lists every key with its value and its source.
fn find(told: &Value, key: &str) -> Option<Value> {
    let line = told.as_array()?.iter().find(|line| line["key"] == key)?;
    Some(line["value"].clone())
}

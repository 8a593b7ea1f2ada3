"""A control plane whose pods are played by kwok, and engines against it."""

import json
import os
import pathlib
import signal
import subprocess
import time

DOCUMENT = {"stages": [{
    "algorithm": {"rawcode": "exit 0", "container": {"image": "busybox", "tag": "1", "entrypoint": "sh $ALGO"}},
}]}

REPORTS = {
    "configure": '{"fault":null,"files":1,"bytes":1}',
    "algorithm": '{"exitCode":0,"signal":null,"timedOut":false,"stopped":false,"error":null,"wallMs":1500,"cpuMs":1,'
                 '"peakMemoryBytes":1,"logBytes":0,"logDroppedBytes":0}',
    "filter": "",
    "publish": '{"published":{"store":"file:///results","manifest":"x/manifest.json","manifestSha256":"' + "0" * 64
               + '","files":1,"bytes":1,"refused":0},"fault":null}',
}

SCHEDULER = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %s, qps: 2000, burst: 4000}
profiles:
- schedulerName: default-scheduler
  plugins:
    multiPoint:
      disabled: [{name: VolumeBinding}, {name: VolumeRestrictions}, {name: VolumeZone}, {name: NodeVolumeLimits}]
"""

TOML = """
[engine]
jobs_namespace = "%s"
instance = "bench"
[http]
listen = ""
[limits]
max_jobs = %d
[images]
filter = "filter:1"
[storage]
kind = "directory"
directory = "/results"
"""


class Cluster:
    """API server, etcd, controllers, scheduler, and kwok in place of nodes."""

    def __init__(self, directory, root, namespace):
        self.directory, self.root, self.namespace = directory, root, namespace
        self.processes = []

    def start(self):
        tests = self.root / "tests" / "cluster"
        subprocess.run([tests / "build", "control-plane", "kwok"], check=True, stdout=subprocess.DEVNULL)
        plane = self.directory / "plane"
        subprocess.run([tests / "up", "--control-plane", plane], check=True, stdout=subprocess.DEVNULL)
        self.plane, env = plane, json.loads((plane / "env.json").read_text())
        self.audit, self.kubeconfigs = pathlib.Path(env["audit"]), env["kubeconfigs"]
        self.kubectl_program = env["kubectl"]
        programs = dict(line.split(maxsplit=1) for line in subprocess.check_output(
            [tests / "build", "--list", "control-plane", "kwok"], text=True).splitlines())
        config = self.directory / "scheduler.yaml"
        config.write_text(SCHEDULER % self.kubeconfigs["scheduler"])
        self.spawn("scheduler", [programs["kube-scheduler"], f"--config={config}", "--secure-port=0"])
        stages = self.directory / "stages.json"
        stages.write_text("\n---\n".join(json.dumps(stage) for stage in played_stages()))
        self.spawn("kwok", [programs["kwok"], f"--kubeconfig={self.kubeconfigs['kwok']}", f"--config={stages}",
                            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                            "--node-lease-duration-seconds=40"])
        self.apply(node())
        self.kubectl("create", "namespace", self.namespace)
        for name in ("role", "environment"):
            self.kubectl("apply", "-f", self.root / "manifests" / "base" / f"{name}.yaml")
        self.kubectl("-n", self.namespace, "create", "rolebinding", "operator-engine", "--role=operator-engine",
                     "--user=operator-engine")

    def spawn(self, name, command):
        log = open(self.directory / f"{name}.log", "wb")
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            end(process)
        if hasattr(self, "plane"):
            subprocess.run([self.root / "tests" / "cluster" / "down", self.plane], check=True)

    def kubectl(self, *words, text=None):
        command = [self.kubectl_program, "--kubeconfig", self.kubeconfigs["admin"], *map(str, words)]
        return subprocess.run(command, check=True, input=text, text=True, stdout=subprocess.PIPE).stdout

    def apply(self, *objects):
        self.kubectl("create", "-f", "-", text="\n---\n".join(json.dumps(item) for item in objects))

    def workflows(self, count, state="pending", prefix="wf"):
        for n in range(count):
            yield {"apiVersion": "v1", "kind": "ConfigMap",
                   "metadata": {"name": f"{prefix}-{n}", "namespace": self.namespace,
                                "labels": {"operator-engine/state": state}},
                   "data": {"workflow.json": json.dumps(DOCUMENT)}}

    def submit(self, count, prefix="wf"):
        self.apply(*self.workflows(count, prefix=prefix))

    def park(self, count):
        for chunk in range(0, count, 1000):
            self.apply(*self.workflows(min(1000, count - chunk), "done", f"parked-{chunk}"))

    def count(self, kind, selector=""):
        text = self.kubectl("-n", self.namespace, "get", kind, "-l", selector, "-o", "name")
        return len(text.splitlines())

    def running_pods(self):
        text = self.kubectl("-n", self.namespace, "get", "pods", "--field-selector=status.phase=Running", "-o", "name")
        return len(text.splitlines())

    def sample(self, found):
        """Adds to `found` one pod of each stage and one volume claim, fit to be created again under another name."""
        for component in REPORTS.keys() - found.keys():
            self.sample_one(found, component, f"pods?labelSelector=component%3D{component}")
        if "data" not in found:
            self.sample_one(found, "data", "persistentvolumeclaims?labelSelector=workflow")

    def sample_one(self, found, name, query):
        text = self.kubectl("get", "--raw", f"/api/v1/namespaces/{self.namespace}/{query}&limit=1")
        for item in json.loads(text)["items"]:
            for key in ("nodeName", "volumeName"):
                item["spec"].pop(key, None)
            found[name] = {"metadata": {"labels": item["metadata"]["labels"]}, "spec": item["spec"]}

    def wait_until_done(self, count, found):
        deadline = time.monotonic() + 60 + count
        while self.count("configmap", "operator-engine/state=done") < count:
            self.sample(found)
            if time.monotonic() > deadline:
                raise SystemExit(f"not done in time; the engine's log is {self.directory / 'engine.log'}:\n"
                                 + (self.directory / "engine.log").read_text()[-3000:])
            time.sleep(0.2 if count < 500 else 1)

    def wait_until_clean(self, count):
        deadline = time.monotonic() + 120 + count / 2
        while self.count("pods") or self.count("pvc"):
            if time.monotonic() > deadline:
                raise SystemExit("pods or volumes are left behind")
            time.sleep(0.5)

    def forget(self, count):
        self.kubectl("-n", self.namespace, "delete", "configmap", "-l", "operator-engine/state=done", "--wait=false")

    def engine(self, program, max_jobs):
        config = self.directory / "engine.toml"
        config.write_text(TOML % (self.namespace, max_jobs))
        return self.spawn("engine", [program, "run", "--kubeconfig", self.kubeconfigs["engine"], "--config", config])

    def audit_size(self):
        time.sleep(2)  # What is buffered belongs to what went before.
        return self.audit.stat().st_size


def node():
    amounts = {"cpu": "100k", "memory": "100Ti", "pods": "20000", "ephemeral-storage": "100Ti"}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "fake-1", "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"allocatable": amounts, "capacity": amounts}}


def stage(name, kind, spec):
    spec = {"resourceRef": {"apiGroup": "v1", "kind": kind}, **spec}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def expression(key, operator, *values):
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def played_stages():
    """What kwok does: a node that is ready, pods that start at once, run 1 to 2 seconds, and go when deleted."""
    yield {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration",
           "options": {"podPlayStageParallelism": 64, "nodePlayStageParallelism": 4}}
    conditions = "[{type: Ready, status: 'True', reason: KubeletReady, message: played, " \
                 "lastHeartbeatTime: {{ Now | Quote }}, lastTransitionTime: {{ Now | Quote }}}]"
    allocatable = "{cpu: 100k, memory: 100Ti, pods: 20000, ephemeral-storage: 100Ti}"
    yield stage("node-initialize", "Node", {
        "selector": {"matchExpressions": [
            expression(".status.conditions.[] | select( .type == \"Ready\" ) | .status", "NotIn", "True")]},
        "next": {"statusTemplate": f"conditions: {conditions}\nallocatable: {allocatable}\ncapacity: {allocatable}\n"
                                   "phase: Running\n"},
        "immediateNextStage": True})
    yield stage("node-heartbeat", "Node", {
        "selector": {"matchExpressions": [
            expression(".status.phase", "In", "Running"),
            expression(".status.conditions.[] | select( .type == \"Ready\" ) | .status", "In", "True")]},
        "delay": {"durationMilliseconds": 20000},
        "next": {"statusTemplate": f"conditions: {conditions}\n"}})
    alive = expression(".metadata.deletionTimestamp", "DoesNotExist")
    yield stage("pod-ready", "Pod", {
        "selector": {"matchExpressions": [alive, expression(".status.podIP", "DoesNotExist")]},
        "next": {"statusTemplate": """
phase: Running
podIP: 10.0.0.1
startTime: {{ Now | Quote }}
containerStatuses:
- {name: workflow-executor, image: x, imageID: x, ready: true, started: true, restartCount: 0,
   state: {running: {startedAt: {{ Now | Quote }}}}}
"""}})
    for component, report in REPORTS.items():
        yield stage(f"pod-complete-{component}", "Pod", {
            "selector": {"matchLabels": {"component": component}, "matchExpressions": [
                alive, expression(".status.phase", "In", "Running"),
                # Pods of these run for ever.
                expression('.metadata.labels["workflow"] | startswith("waiting-") | tostring', "NotIn", "true")]},
            "delay": {"durationMilliseconds": 1000, "jitterDurationMilliseconds": 2000},
            "next": {"statusTemplate": """
phase: Succeeded
containerStatuses:
- name: workflow-executor
  image: x
  imageID: x
  ready: false
  started: false
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, finishedAt: {{ Now | Quote }}, startedAt: {{ Now | Quote }},
          message: %s}}
""" % json.dumps(report)}})
    yield stage("pod-delete", "Pod", {
        "selector": {"matchExpressions": [expression(".metadata.deletionTimestamp", "Exists")]},
        "next": {"finalizers": {"empty": True}, "delete": True}})


def usage(pid):
    """CPU seconds and peak megabytes of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return cpu, int(peak) // 1024


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

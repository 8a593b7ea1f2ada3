"""A node that is only played, by kwok: pods are scheduled, run for a while and end, and nothing is executed. No root.

Claims for volumes stay pending and hinder nobody: the scheduler runs without its volume plugins, because otherwise the
one thread that binds volumes would be what a measurement with thousands of pods measures.
"""

import json

from .keeper import write_whole

NAME = "played"
ANNOTATION = "kwok.x-k8s.io/node"

SCHEDULER = {
    "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
    "leaderElection": {"leaderElect": False},
    "clientConnection": {"qps": 2000, "burst": 4000},
    "profiles": [{"schedulerName": "default-scheduler", "plugins": {"multiPoint": {"disabled": [
        {"name": name} for name in ("VolumeBinding", "VolumeZone", "VolumeRestrictions", "NodeVolumeLimits")]}}}],
}

CAPACITY = {"cpu": "100000", "memory": "1000Ti", "ephemeral-storage": "1000Ti", "pods": "20000"}


def start(keeper, plane, programs, stages):
    """Starts the scheduler and kwok, and waits until the played node is Ready."""
    configuration = keeper.directory / "scheduler.json"
    client = {**SCHEDULER["clientConnection"], "kubeconfig": str(plane.kubeconfig("scheduler"))}
    write_whole(configuration, json.dumps({**SCHEDULER, "clientConnection": client}))
    keeper.start("kube-scheduler", [programs["kube-scheduler"], f"--config={configuration}", "--secure-port=0"])
    keeper.start("kwok", [
        programs["kwok"], f"--kubeconfig={plane.kubeconfig('kwok')}", f"--config={stages}", "--server-address=127.0.0.1:0",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}={NAME}",
        "--node-lease-duration-seconds=40"],  # without a lease the node is lost after a minute
        environment={"HOME": str(keeper.directory)})
    plane.call("POST", "/api/v1/nodes", body={
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NAME, "annotations": {ANNOTATION: NAME}, "labels": {"kubernetes.io/hostname": NAME}},
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY}})
    keeper.wait_for("Ready played node", 60, lambda: ready(plane))


def ready(plane):
    node = json.loads(plane.call("GET", f"/api/v1/nodes/{NAME}"))
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", []))

"""A real node: containerd, kubelet and kube-proxy of its own, on this machine. Needs root.

Everything that can lie in the cluster's folder does; `host` undoes the rest. Absent: cluster DNS, an enforcer of
NetworkPolicies, a way from pods to the world outside the machine.
"""

import json
import subprocess

from . import host, images
from .keeper import Failed, write_whole
from .volumes import STORAGE_CLASS, Volumes

NAME = "n1"
PODS = "198.18.1.0/24"
CNI_PLUGINS = "/usr/lib/cni"

CONTAINERD = """
version = 2
root = "{directory}/containerd/root"
state = "{directory}/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]

[grpc]
  address = "{directory}/containerd/containerd.sock"
[ttrpc]
  address = "{directory}/containerd/containerd.sock.ttrpc"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without the right to lower the score (in some virtual machines), runc would fail with no word about it.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{directory}/containerd/runc"
"""


class Node:
    """One node over a control plane that is up."""

    def __init__(self, keeper, plane, programs, image_archives):
        self.keeper, self.plane, self.programs, self.archives = keeper, plane, programs, image_archives
        self.directory = keeper.directory
        self.volumes = Volumes(plane, self.directory / "volumes")
        self.kubelet_port, self.proxy_health, self.proxy_metrics = plane.free_ports(3)

    def start(self):
        self._start_containerd()
        self._import_images()
        self._start_kubelet()
        self._start_proxy()
        self.keeper.wait_for("Ready node", 60, self._ready)
        self.plane.call("POST", "/apis/storage.k8s.io/v1/storageclasses", body=STORAGE_CLASS)

    def describe(self):
        """What env.json says of the node."""
        return {"name": NAME, "address": host.ADDRESS, "storage_class": STORAGE_CLASS["metadata"]["name"],
                "images": self.images(), "volumes": str(self.volumes.directory),
                "containerd": str(self.directory / "containerd/containerd.sock")}

    def images(self):
        """Name and digest of each image that the node has."""
        listed = self._ctr("images", "list").splitlines()[1:]
        rows = [line.split() for line in listed]
        return {row[0]: row[2] for row in rows if "sha256:" not in row[0]}

    def tend(self):
        self.volumes.tend()

    def _start_containerd(self):
        folder = self.directory / "containerd"
        folder.mkdir()
        config = CONTAINERD.format(directory=self.directory, pause=images.PAUSE, plugins=CNI_PLUGINS)
        write_whole(folder / "config.toml", config)
        (self.directory / "cni").mkdir()
        write_whole(self.directory / "cni/10-tests.conflist", json.dumps({
            "cniVersion": "0.4.0", "name": "operator-engine-tests", "plugins": [{
                "type": "bridge", "bridge": host.BRIDGE, "isGateway": True, "ipMasq": False, "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
                         "dataDir": str(self.directory / "cni-addresses")}}]}))
        self.keeper.start("containerd", ["containerd", "--config", folder / "config.toml"])
        self.keeper.wait_for("answer from containerd", 30, lambda: self._ctr("version"))

    def _ctr(self, *arguments):
        done = subprocess.run(["ctr", "--address", self.directory / "containerd/containerd.sock", "--namespace", "k8s.io",
                               *arguments], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise OSError(f"ctr {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def _import_images(self):
        for archive in self.archives:
            try:
                self._ctr("images", "import", str(archive))
            except OSError as error:
                raise Failed(f"containerd does not take {archive}: {error}") from None
        # By digest too, as a pod may name them.
        for name, digest in self.images().items():
            self._ctr("images", "tag", "--force", name, f"{name.rpartition(':')[0]}@{digest}")

    def _start_kubelet(self):
        folder = self.directory / "kubelet"
        folder.mkdir()
        write_whole(self.directory / "kubelet.json", json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "address": host.ADDRESS, "port": self.kubelet_port, "readOnlyPort": 0, "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                               "x509": {"clientCAFile": str(self.plane.pki / "ca.crt")}},
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self.directory}/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs", "failCgroupV1": False, "failSwapOn": False, "enforceNodeAllocatable": [],
            "evictionHard": {}, "imageGCHighThresholdPercent": 100, "makeIPTablesUtilChains": False,
            "podLogsDir": str(self.directory / "pod-logs"), "volumePluginDir": str(self.directory / "volume-plugins"),
            "resolvConf": "", "maxPods": 200, "registryPullQPS": 0, "nodeStatusUpdateFrequency": "5s",
            "nodeLeaseDurationSeconds": 20,
            # How soon a volume over its limit is noticed; by default up to a minute.
            "volumeStatsAggPeriod": "5s", "shutdownGracePeriod": "0s",
        }))
        self.keeper.start("kubelet", [
            self.programs["kubelet"], f"--config={self.directory / 'kubelet.json'}",
            f"--kubeconfig={self.plane.kubeconfig('node')}", f"--root-dir={folder}", f"--cert-dir={folder / 'pki'}",
            f"--hostname-override={NAME}", f"--node-ip={host.ADDRESS}"])

    def _start_proxy(self):
        self.keeper.start("kube-proxy", [
            self.programs["kube-proxy"], f"--kubeconfig={self.plane.kubeconfig('proxy')}", "--proxy-mode=nftables",
            f"--cluster-cidr={PODS}", f"--hostname-override={NAME}", "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
            # A pod may call itself or its neighbour by a Service: the answer must come back this way.
            "--masquerade-all",
            f"--healthz-bind-address={host.ADDRESS}:{self.proxy_health}",
            f"--metrics-bind-address={host.ADDRESS}:{self.proxy_metrics}"])

    def _ready(self):
        node = json.loads(self.plane.call("GET", f"/api/v1/nodes/{NAME}"))
        return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", []))

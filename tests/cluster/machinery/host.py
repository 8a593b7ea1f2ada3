"""What a node needs of its machine, and how it leaves the machine as it was.

A node changes things outside its own folder, all of them named here: one address on `lo`, one bridge, kernel settings,
cgroups, nftables tables, mounts, and a few files whose place containerd, CNI and the kubelet do not let one choose.
`Host.borrow` checks, notes the state before and takes the address, which is also the lock: one node a machine.
`Host.give_back` may be called at any time and any number of times, also by `down` when the keeper was killed.
"""

import json
import os
import pathlib
import signal
import subprocess
import time

from .keeper import Failed, write_whole

ADDRESS = "198.18.0.1"
"""The node's own, out of the range that RFC 2544 reserves for tests of networks. The kubelet refuses 127.0.0.1, and pods
must reach it."""

BRIDGE = "oe-tests0"
"""The bridge to which pods are plugged; no other program uses this name."""

CGROUP = "kubepods"
"""The cgroup that a kubelet makes for its pods, in each hierarchy."""

SETTINGS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "vm/overcommit_memory", "vm/panic_on_oom",
            "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
            "net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max")
"""Kernel settings that the kubelet, kube-proxy and the bridge plugin change."""

PLACES = ("/var/lib/cni/results", "/var/lib/cni", "/var/log/containers", "/run/containerd/s", "/run/containerd",
          "/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/run/mount")
"""Folders made on the way; those that were not there before go when they are empty."""

LONGEST = 60
"""Characters in the path of a node's folder: sockets lie deep in it, and the kernel allows 107 for a socket's path."""


class Host:
    """The machine, for the node whose folder this is."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.before = self.directory / "host.json"

    def check(self):
        """Fails with everything that this machine lacks for a node, and what to do about each."""
        wrong = []
        if os.geteuid() != 0:
            raise Failed("a node needs root; without it there is --control-plane")
        installed = subprocess.run([pathlib.Path(__file__).resolve().parent.parent / "install", "--check"],
                                   capture_output=True, text=True)
        if installed.returncode != 0:
            raise Failed(installed.stderr.strip())
        if len(str(self.directory)) > LONGEST:
            wrong.append(f"the path {self.directory} has more than {LONGEST} characters, too many for the sockets in it")
        if quiet("ip", "-brief", "address", "show", "to", ADDRESS):
            wrong.append(f"the address {ADDRESS} is taken: another node runs, or one was not ended by tests/cluster/down")
        if any((hierarchy / CGROUP).exists() for hierarchy in cgroup_hierarchies()):
            wrong.append(f"there is a cgroup {CGROUP}: this machine has a kubelet of its own, or one left it behind")
        missing = {"cpu", "memory", "pids"} - cgroup_controllers()
        if missing:
            wrong.append(f"no cgroup controller for {', '.join(sorted(missing))}: container limits would not hold")
        if "overlay" not in pathlib.Path("/proc/filesystems").read_text():
            quiet("modprobe", "overlay")
            if "overlay" not in pathlib.Path("/proc/filesystems").read_text():
                wrong.append("the kernel has no overlay file system, which images are unpacked on")
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
        if tables.returncode != 0:
            wrong.append(f"nftables does not work here: {tables.stderr.strip()}")
        elif "kube-proxy" in tables.stdout:
            wrong.append("there is an nftables table kube-proxy: another kube-proxy runs on this machine")
        if wrong:
            raise Failed("this machine cannot be a node:\n  - " + "\n  - ".join(wrong))

    def borrow(self):
        """Checks the machine, notes how it was, and takes the address."""
        self.check()
        write_whole(self.before, json.dumps({
            "settings": {name: value for name in SETTINGS if (value := setting(name)) is not None},
            "places": [place for place in PLACES if os.path.exists(place)],
        }))
        taken = subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], capture_output=True, text=True)
        if taken.returncode != 0:
            self.before.unlink()
            raise Failed(f"cannot add {ADDRESS} to lo: {taken.stderr.strip()}")

    def give_back(self):
        """Ends containers that are left and undoes every change. Returns what could not be undone, a sentence each."""
        if not self.before.exists():
            return []
        before = json.loads(self.before.read_text())
        left = []
        self._end_containers()
        self._unmount(left)
        quiet("ip", "link", "delete", BRIDGE)
        for family in ("ip", "ip6"):
            quiet("nft", "delete", "table", family, "kube-proxy")
        self._remove_cgroups(left)
        self._remove_files(before["places"])
        for name, value in before["settings"].items():
            if setting(name) != value:
                try:
                    pathlib.Path("/proc/sys", name).write_text(value)
                except OSError as error:
                    left.append(f"kernel setting {name} was {value}: {error}")
        for place in PLACES:
            if place not in before["places"]:
                try:
                    os.rmdir(place)
                except OSError:
                    pass  # not there, or somebody else's by now
        quiet("ip", "address", "delete", f"{ADDRESS}/32", "dev", "lo")
        self.before.unlink()
        return left

    def shims(self):
        """Numbers of this node's containerd shims: their command line names the node's own socket."""
        socket = f"{self.directory}/containerd/containerd.sock"
        return [pid for pid, command in processes() if "containerd-shim" in command[0] and socket in command]

    def _end_containers(self):
        # The shims are parents of everything that runs in containers. A killed shim cannot remove its socket.
        for address in self.directory.glob("containerd/state/io.containerd.runtime.v2.task/*/*/address"):
            socket = address.read_text().strip()
            if socket.startswith("unix:///run/containerd/s/"):
                pathlib.Path(socket[len("unix://"):]).unlink(missing_ok=True)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            parents, shims = {pid: parent(pid) for pid, _ in processes()}, self.shims()
            ours = [pid for pid in parents if descends(pid, shims, parents)]
            if not ours:
                return
            for pid in ours:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)

    def _unmount(self, left):
        for _ in range(3):  # a mount may lie on another
            mounts = [line.split()[1].encode().decode("unicode_escape") for line in open("/proc/self/mounts")]
            for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.directory}/")]):
                quiet("umount", "--lazy", mount)
        left += [f"still mounted: {line.split()[1]}" for line in open("/proc/self/mounts")
                 if line.split()[1].startswith(f"{self.directory}/")]

    def _remove_cgroups(self, left):
        for hierarchy in cgroup_hierarchies():
            top = hierarchy / CGROUP
            until = time.monotonic() + 5
            while top.exists():
                for folder, _, _ in os.walk(top, topdown=False):
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass  # its last process is still going
                if time.monotonic() > until:
                    left.append(f"cgroup {top} is in use")
                    break
                time.sleep(0.05)

    def _remove_files(self, places_before):
        for sandbox in self.directory.glob("containerd/root/io.containerd.grpc.v1.cri/sandboxes/*"):
            for result in pathlib.Path("/var/lib/cni/results").glob(f"*-{sandbox.name}-*"):
                result.unlink()
        for link in pathlib.Path("/var/log/containers").glob("*.log"):
            if link.is_symlink() and os.readlink(link).startswith(f"{self.directory}/"):
                link.unlink()
        if "/var/lib/kubelet/device-plugins" not in places_before:
            pathlib.Path("/var/lib/kubelet/device-plugins/kubelet.sock").unlink(missing_ok=True)


def cgroup_hierarchies():
    """Where cgroups are mounted: one folder for each controller in version 1, one in version 2."""
    mounts = [line.split() for line in open("/proc/self/mounts")]
    return [pathlib.Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")]


def cgroup_controllers():
    found = set()
    for mount in (line.split() for line in open("/proc/self/mounts")):
        if mount[2] == "cgroup":
            found.update(mount[3].split(","))
        elif mount[2] == "cgroup2":
            found.update(pathlib.Path(mount[1], "cgroup.controllers").read_text().split())
    return found


def setting(name):
    try:
        return pathlib.Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def processes():
    """(number, command line) of every process that has one."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            yield int(entry.name), command


def parent(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descends(pid, ancestors, parents):
    """Whether a process is one of `ancestors` or comes from one."""
    while pid > 1:
        if pid in ancestors:
            return True
        pid = parents.get(pid, 0)
    return False


def quiet(*command):
    """Runs a command whose failure means that there was nothing to do; returns its output."""
    return subprocess.run(command, capture_output=True, text=True).stdout

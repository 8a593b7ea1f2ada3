"""One upload of one result by one client to one fresh server, measured; and what the server then holds, counted."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
STORES = {"s3": ["engine", "rclone", "boto3-threads", "boto3-crt", "old"], "ipfs": ["engine", "ipfs-add", "old"]}
CONCURRENCY = 32
"""Uploads at once of each client that has a choice: as many as the engine's."""

FACTS = {"job": "bench", "outcome": "succeeded", "reason": None, "message": None, "exitCode": 0, "image": "busybox:1.37",
         "document": "0" * 64, "usage": None, "times": {}, "expiresAt": None, "release": True}


class Result:
    """Files of random bytes, so that no store can save any: DIR/outputs/<hundred>/<file>."""

    def __init__(self, folder, files, size):
        self.folder, self.files, self.bytes = folder, files, files * size
        for name in ("outputs", "logs", "adminlogs"):
            (folder / name).mkdir(parents=True)
        for number in range(files):
            path = folder / "outputs" / f"{number // 100:03}" / f"{number:05}.bin"
            path.parent.mkdir(exist_ok=True)
            with open(path, "wb") as file:
                left = size
                while left > 0:
                    left -= file.write(os.urandom(min(left, 1 << 22)))

    def remove(self):
        shutil.rmtree(self.folder)


@dataclasses.dataclass
class Run:
    seconds: float
    peak_mib: float
    cpu_seconds: float
    server_cpu_seconds: float = 0


class Bench:
    """Where everything is that uploads need."""

    def __init__(self, root, directory, engine, delay):
        self.directory, self.engine, self.delay, self.servers = directory, engine, delay, root / "tests" / "servers"
        subprocess.run([self.servers / "build"], check=True, stdout=subprocess.DEVNULL)
        listed = subprocess.run([self.servers / "build", "--list"], check=True, capture_output=True, text=True).stdout
        self.programs = dict(line.split(" ", 1) for line in listed.splitlines())

    def run(self, store, client, result):
        """Starts a server, uploads, counts, ends the server. Fails if the server does not hold everything."""
        (result.folder / "adminlogs" / "publish.log").unlink(missing_ok=True)
        server = Server(self, "s3" if store == "s3" else "kubo")
        with server as said:
            os.sync()
            before = server.cpu_seconds()
            with Relay(said, self.delay) as further:
                measured = measure(*self.command(store, client, result, further), self.directory)
            measured.server_cpu_seconds = server.cpu_seconds() - before
            files, size = self.count(store, said)
            # The engine adds publish.log, results.json and manifest.json.
            whole = result.files + (3 if client == "engine" else 0)
            if files != whole or size < result.bytes:
                raise SystemExit(f"{client} stored {files} files of {size} bytes in {store}, not {whole} of at least "
                                 f"{result.bytes}")
        return measured

    def command(self, store, client, result, said):
        """The command line of a client, and its environment."""
        outputs, programs = result.folder / "outputs", self.programs
        if store == "s3":
            keys = {"AWS_ACCESS_KEY_ID": said["accessKey"], "AWS_SECRET_ACCESS_KEY": said["secretKey"],
                    "AWS_REGION": said["region"]}
            target = {"kind": "s3", "bucket": said["bucket"], "region": said["region"], "endpoint": said["endpoint"],
                      "pathStyle": True, "allowHttp": True}
        else:
            keys = {"IPFS_PATH": said["repository"]}
            target = {"kind": "ipfs", "api": said["api"], "folder": "/operator-engine", "urlPrefix": "ipfs://"}
        if client == "engine":
            return [self.engine, "publish", "--data", result.folder, "--facts", json.dumps(FACTS), "--target",
                    json.dumps(target), "--termination-log", self.directory / "report.json"], keys
        if client == "rclone":
            remote = f":s3,provider=SeaweedFS,env_auth=true,endpoint='{said['endpoint']}':{said['bucket']}/bench"
            return [programs["rclone"], "copy", "--config", "", f"--transfers={CONCURRENCY}", "--checkers=1",
                    "--s3-no-check-bucket", "--s3-upload-concurrency=4", "--s3-chunk-size=8Mi", "--no-traverse",
                    "--ignore-times", "--retries=1", "-q", outputs, remote], keys
        if client == "ipfs-add":
            address, _, port = said["api"].removeprefix("http://").partition(":")
            return [programs["ipfs"], "--api", f"/ip4/{address}/tcp/{port}", "add", "-r", "--cid-version=1", "--quieter",
                    outputs], keys
        return [programs["python"], HERE / "clients.py", f"{store}-{client}", json.dumps(said), str(CONCURRENCY),
                outputs], keys

    def count(self, store, said):
        """The files in the store, and their bytes, as an ordinary client sees them."""
        if store == "s3":
            listed = subprocess.run([self.programs["python"], HERE / "clients.py", "s3-count", json.dumps(said), "1",
                                     self.directory], check=True, capture_output=True, text=True)
            return tuple(json.loads(listed.stdout))
        totals = [walk(said["api"], cid) for cid in pins(said["api"])]
        return sum(files for files, _ in totals), sum(size for _, size in totals)


def measure(words, environment, directory):
    """Runs a client to its end."""
    with open(directory / "client.log", "w+b") as log:
        began = time.monotonic()
        process = subprocess.Popen([str(word) for word in words], env={"PATH": os.environ["PATH"], "HOME": str(directory),
                                                                      **environment},
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        peak, over = [0], threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, peak, over))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        watcher.join()
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"{words[0]} ended with {process.returncode}:\n{log.read()[-3000:].decode(errors='replace')}")
    return Run(seconds, peak[0] / 1024, usage.ru_utime + usage.ru_stime)


def watch(pid, peak, over):
    """The most memory, as the kernel counts it from the program's first instruction on (`ru_maxrss` begins earlier)."""
    while not over.wait(0.01):
        try:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        peak[0] = max([peak[0], *(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:"))])


class Server:
    """A fresh server of tests/servers."""

    def __init__(self, bench, kind):
        # Without a folder of ours the server is killed in the end, which nobody has to wait for.
        self.up = subprocess.Popen([bench.servers / "up", kind, "--until-stdin-closes"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(bench.directory)}, text=True)

    def __enter__(self):
        line = self.up.stdout.readline()
        if not line:
            raise SystemExit("tests/servers/up did not start a server; why is above")
        return json.loads(line)

    def __exit__(self, *_):
        self.up.stdin.close()
        self.up.wait()

    def cpu_seconds(self):
        """What the server has used of processors: all processes below the one that we started."""
        parents, ticks = {}, {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(stat.parent.name)], ticks[int(stat.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
        return sum(ticks[pid] for pid in parents if self.up.pid in ancestors(pid, parents)) / os.sysconf("SC_CLK_TCK")


def ancestors(pid, parents):
    """The processes above one, and it itself."""
    found = set()
    while pid in parents and pid not in found:
        found.add(pid)
        pid = parents[pid]
    return found


class Relay:
    """What a server said of itself, with an address that is further away."""

    def __init__(self, said, delay):
        self.said, self.delay, self.process = said, delay, None

    def __enter__(self):
        if not self.delay:
            return self.said
        key = "endpoint" if "endpoint" in self.said else "api"
        host, _, port = self.said[key].removeprefix("http://").partition(":")
        self.process = subprocess.Popen([sys.executable, HERE / "relay.py", host, port, str(self.delay)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return {**self.said, key: f"http://127.0.0.1:{self.process.stdout.readline().strip()}"}

    def __exit__(self, *_):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


EMPTY_DIRECTORIES = {"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
                     "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"}
"""Each node pins one of its own."""


def pins(api):
    keys = rpc(api, "pin/ls?type=recursive")[0]["Keys"]
    return [cid for cid in keys if cid not in EMPTY_DIRECTORIES]


def walk(api, cid):
    files = size = 0
    for line in rpc(api, f"ls?arg=/ipfs/{cid}&stream=true"):
        for link in line["Objects"][0]["Links"]:
            if link["Type"] == 1:
                more, bytes_more = walk(api, link["Hash"])
                files, size = files + more, size + bytes_more
            else:
                files, size = files + 1, size + link["Size"]
    return files, size


def rpc(api, call):
    request = urllib.request.Request(f"{api}/api/v0/{call}", method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=600) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]

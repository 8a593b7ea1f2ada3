"""One upload of one result by one client to one fresh server, measured; and what the server then holds, counted."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
STORES = {"s3": ["engine", "rclone", "boto3-threads", "boto3-crt", "old"], "ipfs": ["engine", "ipfs-add", "old"]}
CONCURRENCY = 32
"""Uploads at once of each client that has a choice: as many as the engine's."""

FACTS = {"job": "bench", "outcome": "succeeded", "reason": None, "message": None, "exitCode": 0, "image": "busybox:1.37",
         "document": "0" * 64, "usage": None, "times": {}, "expiresAt": None, "release": True}


def find_programs(root):
    build = [root / "tests" / "servers" / "build"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    listed = subprocess.run([*build, "--list"], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in listed.splitlines())


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


def run(store, client, result, engine, programs, root, directory):
    """Starts a server, uploads, counts, ends the server. Fails if the server does not hold everything."""
    (result.folder / "adminlogs" / "publish.log").unlink(missing_ok=True)
    with Server(root, "s3" if store == "s3" else "kubo", directory) as said:
        os.sync()
        measured = measure(*command(store, client, result, engine, programs, said, directory), directory)
        files, size = count(store, said, programs, directory)
        # The engine adds publish.log, results.json and manifest.json.
        more = 3 if client == "engine" else 0
        if files != result.files + more or size < result.bytes:
            raise SystemExit(f"{client} stored {files} files of {size} bytes in {store}, not {result.files + more} of at "
                             f"least {result.bytes}")
    return measured


def command(store, client, result, engine, programs, said, directory):
    """The command line of a client, and its environment."""
    outputs = result.folder / "outputs"
    if store == "s3":
        keys = {"AWS_ACCESS_KEY_ID": said["accessKey"], "AWS_SECRET_ACCESS_KEY": said["secretKey"],
                "AWS_REGION": said["region"], "AWS_DEFAULT_REGION": said["region"]}
        target = {"kind": "s3", "bucket": said["bucket"], "region": said["region"], "endpoint": said["endpoint"],
                  "pathStyle": True, "allowHttp": True}
    else:
        keys = {"IPFS_PATH": said["repository"]}
        target = {"kind": "ipfs", "api": said["api"], "folder": "/operator-engine", "urlPrefix": "ipfs://"}
    if client == "engine":
        return [engine, "publish", "--data", result.folder, "--facts", json.dumps(FACTS), "--target", json.dumps(target),
                "--termination-log", directory / "report.json"], keys
    if client == "rclone":
        remote = f":s3,provider=SeaweedFS,env_auth=true,endpoint='{said['endpoint']}':{said['bucket']}/bench"
        return [programs["rclone"], "copy", "--config", "", f"--transfers={CONCURRENCY}", "--checkers=1",
                "--s3-no-check-bucket", "--s3-upload-concurrency=4", "--s3-chunk-size=8Mi", "--no-traverse",
                "--ignore-times", "--retries=1", "-q", outputs, remote], keys
    if client == "ipfs-add":
        return [programs["ipfs"], "add", "-r", "--cid-version=1", "--quieter", outputs], keys
    clients = [programs["python"], HERE / "clients.py", f"{store}-{client}", json.dumps(said), str(CONCURRENCY), outputs]
    return clients, keys


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

    def __init__(self, root, kind, directory):
        self.data = tempfile.mkdtemp(prefix="server-", dir=directory)
        self.up = subprocess.Popen([root / "tests" / "servers" / "up", kind, "--data", self.data, "--until-stdin-closes"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        line = self.up.stdout.readline()
        if not line:
            raise SystemExit("tests/servers/up did not start a server; why is above")
        return json.loads(line)

    def __exit__(self, *_):
        self.up.stdin.close()
        self.up.wait()
        shutil.rmtree(self.data, ignore_errors=True)


def count(store, said, programs, directory):
    """The files in the store, and their bytes, as an ordinary client sees them."""
    if store == "s3":
        listed = subprocess.run([programs["python"], HERE / "clients.py", "s3-count", json.dumps(said), "1", directory],
                                check=True, capture_output=True, text=True)
        return tuple(json.loads(listed.stdout))
    roots = pins(said["api"])
    totals = [walk(said["api"], cid) for cid in roots]
    return sum(files for files, _ in totals), sum(size for _, size in totals)


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

"""SeaweedFS: an S3 server with one private bucket."""

import glob
import json
import os
import secrets
import urllib.request

from cluster.machinery.control_plane import free_ports
from cluster.machinery.keeper import write_whole

PROGRAMS = ("python",)
PORTS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
         "filer.port.grpc", "admin.port", "admin.port.grpc")


def options(parser):
    parser.add_argument("--bucket", default="outputs", help="the bucket's name (default: outputs)")


def start(keeper, programs, arguments):
    """Starts the server on what is in the data folder, or anew."""
    noted, identities = keeper.directory / "server.json", keeper.directory / "identities.json"
    if not noted.exists():
        server = {"ports": dict(zip(PORTS, free_ports(arguments.address, len(PORTS)))), "bucket": arguments.bucket,
                  "address": arguments.address, "writer": key(), "reader": key()}
        write_whole(identities, json.dumps({"identities": [
            identity("writer", server["writer"], "Admin", "Read", "Write", "List", "Tagging"),
            identity("reader", server["reader"], "Read", "List")]}))
        write_whole(noted, json.dumps(server, indent=1))
    server = json.loads(noted.read_text())
    address = server["address"]
    (keeper.directory / "weed").mkdir(exist_ok=True)
    keeper.start("seaweedfs", [
        programs["weed"], "mini", f"-dir={keeper.directory / 'weed'}", f"-ip={address}", f"-ip.bind={address}",
        *(f"-{name}={port}" for name, port in server["ports"].items()),
        # Its sockets lie in /tmp unless told otherwise, by port: those of two servers could be one.
        f"-filer.localSocket={keeper.directory / 'filer.sock'}", f"-s3.localSocket={keeper.directory / 's3.sock'}",
        f"-s3.config={identities}", f"-bucket={server['bucket']}", "-s3.autoCreateBucket=false",
        "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"])
    endpoint = f"http://{address}:{server['ports']['s3.port']}"
    # The bucket is made only after the server has begun to answer.
    bucket = f"http://{address}:{server['ports']['filer.port']}/buckets/{server['bucket']}/?metadata=true"
    keeper.wait_for("SeaweedFS", 60, lambda: answers(f"{endpoint}/healthz") and answers(bucket))
    return {"endpoint": endpoint, "bucket": server["bucket"], "region": "us-east-1", **server["writer"],
            "readOnly": server["reader"], "python": programs["python"]}


def key():
    return {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}


def identity(name, pair, *actions):
    return {"name": name, "credentials": [pair], "actions": actions}


def answers(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return answer.status == 200


def clean(directory):
    """Removes the sockets whose places are written into the program, which it leaves when it is ended early."""
    noted = directory / "server.json"
    if noted.exists():
        for port in json.loads(noted.read_text())["ports"].values():
            for socket in glob.glob(f"/tmp/seaweedfs-*-{port}.sock"):
                os.unlink(socket)

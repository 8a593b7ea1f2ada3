"""Kubo, a node of IPFS: RPC and gateway, its repository in the data folder, without network (`--offline`)."""

import base64
import json
import pathlib
import subprocess
import urllib.error
import urllib.request

from cluster.machinery.control_plane import free_ports
from cluster.machinery.keeper import Failed

PROGRAMS = ("kubo",)


def options(parser):
    parser.add_argument("--auth", metavar="SECRET", action="append", default=[],
                        help="refuse RPC calls without it: bearer:TOKEN or basic:USER:PASSWORD; may be repeated")
    parser.add_argument("--allow", metavar="PATH", action="append", default=[],
                        help="with --auth: the paths that are allowed, such as /api/v0/add (default: /api/v0, so all)")
    parser.add_argument("--config", metavar="KEY=JSON", action="append", default=[],
                        help="set any key of Kubo's configuration, such as Import.CidVersion=1")


def start(keeper, programs, arguments):
    """Starts the daemon on what is in the data folder, or on a new repository."""
    repository = keeper.directory / "ipfs"
    node = Kubo(programs["ipfs"], repository)
    if not (repository / "config").exists():
        # `test`: loopback, no bootstrap, no discovery. `server`: no search for a router that maps ports.
        node.run("init", "--profile=server,test")
        api, gateway = free_ports(arguments.address, 2)
        node.set("Addresses.API", f"/ip4/{arguments.address}/tcp/{api}")
        node.set("Addresses.Gateway", f"/ip4/{arguments.address}/tcp/{gateway}")
        node.set("Gateway.NoFetch", True)
        paths = arguments.allow or ["/api/v0"]
        node.set("API.Authorizations", {
            f"user{number}": {"AuthSecret": secret, "AllowedPaths": paths}
            for number, secret in enumerate(arguments.auth)})
        for each in arguments.config:
            key, _, value = each.partition("=")
            node.set(key, json.loads(value))
    config = json.loads((repository / "config").read_text())
    api, gateway = (url(config["Addresses"][which]) for which in ("API", "Gateway"))
    authorizations = config["API"].get("Authorizations") or {}
    secrets = [each["AuthSecret"] for each in authorizations.values()]
    keeper.start("kubo", [node.program, "daemon", "--offline"], {"IPFS_PATH": str(repository)})
    keeper.wait_for("Kubo", 60, lambda: version(api, secrets[0] if secrets else None))
    return {"api": api, "gateway": gateway, "repository": str(repository), "ipfs": node.program}


class Kubo:
    """The command line, on one repository."""

    def __init__(self, program, repository):
        self.program, self.repository = program, pathlib.Path(repository)

    def set(self, key, value):
        self.run("config", "--json", key, json.dumps(value))

    def run(self, *words):
        ended = subprocess.run([self.program, *words], env={"IPFS_PATH": str(self.repository)}, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True)
        if ended.returncode != 0:
            raise Failed(f"ipfs {' '.join(words)}: {ended.stderr.strip() or ended.stdout.strip()}")


def url(multiaddress):
    """/ip4/127.0.0.1/tcp/5001 → http://127.0.0.1:5001"""
    _, _, address, _, port = multiaddress.split("/")
    return f"http://{address}:{port}"


def version(api, secret):
    headers = {}
    if secret:
        kind, _, rest = secret.partition(":")
        given = rest if kind == "bearer" else base64.b64encode(rest.encode()).decode()
        headers["Authorization"] = f"{kind.title()} {given}"
    request = urllib.request.Request(f"{api}/api/v0/version", method="POST", headers=headers)
    # Never through a proxy that the environment names.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        return json.load(answer)["Version"]


def clean(_):
    """Removes what lies outside of the data folder: nothing."""

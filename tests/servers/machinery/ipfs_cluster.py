"""ipfs-cluster: one peer (crdt) over a Kubo of its own.

It asks the network's router once whether that maps ports, and has no switch against it. As it listens on loopback only
there is nothing that a router could map.
"""

import json
import secrets
import subprocess
import urllib.request

from cluster.machinery.control_plane import free_ports
from cluster.machinery.keeper import Failed

from . import kubo

PROGRAMS = ("kubo", "ipfs-cluster")
USER = "operator-engine"


def options(parser):
    parser.add_argument("--open", action="store_true", help="ask for no password")
    parser.set_defaults(auth=[], allow=[], config=[])


def start(keeper, programs, arguments):
    """Starts Kubo, then the peer, on what is in the data folder or anew."""
    node = kubo.start(keeper, programs, arguments)
    folder = keeper.directory / "ipfs-cluster"
    service = folder / "service.json"
    program, environment = programs["ipfs-cluster-service"], {"IPFS_CLUSTER_PATH": str(folder)}
    if not service.exists():
        ended = subprocess.run([program, "init", "--consensus", "crdt"], env=environment, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True)
        if ended.returncode != 0:
            raise Failed(f"ipfs-cluster-service init: {ended.stderr.strip()}")
        configure(service, node, arguments)
    config = json.loads(service.read_text())
    rest = config["api"]["restapi"]
    api = kubo.url(rest["http_listen_multiaddress"])
    keeper.start("ipfs-cluster", [program, "daemon"], environment)
    keeper.wait_for("ipfs-cluster", 60, lambda: healthy(api))
    (user, password), = (rest.get("basic_auth_credentials") or {None: None}).items()
    return {"api": api, "node": node["api"], "gateway": node["gateway"], "user": user, "password": password,
            "repository": node["repository"], "ipfs": node["ipfs"],
            "proxy": kubo.url(config["api"]["ipfsproxy"]["listen_multiaddress"])}


def configure(service, node, arguments):
    """Everything on loopback: the defaults listen on all interfaces."""
    peer, rest, proxy, pinning = free_ports("127.0.0.1", 4)
    config = json.loads(service.read_text())
    config["cluster"].update(listen_multiaddress=[f"/ip4/127.0.0.1/tcp/{peer}"], mdns_interval="0s",
                             state_sync_interval="2s")
    # An expiry is looked at that often; the default, five minutes, is no time for a test.
    config["cluster"]["pin_recover_interval"] = "5s"
    sections = config["api"]
    sections["restapi"]["http_listen_multiaddress"] = f"/ip4/{arguments.address}/tcp/{rest}"
    if not arguments.open:
        sections["restapi"]["basic_auth_credentials"] = {USER: secrets.token_urlsafe(16)}
    kubo_address = "/ip4/{}/tcp/{}".format(*node["api"].removeprefix("http://").split(":"))
    sections["ipfsproxy"].update(listen_multiaddress=f"/ip4/127.0.0.1/tcp/{proxy}", node_multiaddress=kubo_address)
    sections["pinsvcapi"]["http_listen_multiaddress"] = f"/ip4/127.0.0.1/tcp/{pinning}"
    config["ipfs_connector"]["ipfshttp"]["node_multiaddress"] = kubo_address
    service.write_text(json.dumps(config, indent=1))


def healthy(api):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{api}/health", timeout=5) as answer:
        return answer.status == 204


def clean(_):
    """Removes what lies outside of the data folder: nothing."""

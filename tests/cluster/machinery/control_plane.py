"""etcd, kube-apiserver and kube-controller-manager; for a node, kube-scheduler too. No root needed.

Absent: nodes. Without `node` nothing runs a pod, and the tests play the kubelet by patching `pods/status`.
"""

import json
import pathlib
import random
import secrets
import socket
import ssl
import urllib.request

from . import certificates
from .keeper import Failed, write_whole

HERE = pathlib.Path(__file__).resolve().parent.parent

SERVICES, SERVICE_ADDRESS = "198.18.128.0/17", "198.18.128.1"
"""Where Services live: in the range that RFC 2544 reserves for tests of networks, so nobody's own range is hidden."""

USERS = {
    # key in env.json: (the name in the audit log, its groups)
    "admin": ("admin", "system:masters"),
    "engine": ("operator-engine", ""),  # no right at all: a test binds the shipped Role to it
    "kubelet": ("played-kubelet", "system:masters"),  # a test that plays the kubelet
    "kwok": ("kwok", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "node": ("system:node:n1", "system:nodes"),
    "proxy": ("system:kube-proxy", ""),
    "submitter": ("submitter", ""),
    "provisioner": ("provisioner", "system:masters"),
}
"""Users by token. Each has a name of its own, so that the audit log tells apart who asked."""

# Enough for a thousand workflows at once; the defaults (20 to 50 a second) would measure these programs' patience.
RATES = ("--kube-api-qps=2000", "--kube-api-burst=4000")


class ControlPlane:
    """The files and addresses of one control plane; `start` brings it up."""

    def __init__(self, keeper, programs, address="127.0.0.1", fsync=True):
        self.keeper, self.programs, self.address, self.fsync = keeper, programs, address, fsync
        self.directory = keeper.directory
        self.pki = self.directory / "pki"
        self.tokens = {key: secrets.token_urlsafe(24) for key in USERS}
        self.port, self.etcd_port, self.etcd_peers = free_ports(address, 3)
        self.url = f"https://{address}:{self.port}"

    def start(self):
        certificates.make(
            self.pki,
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
            sorted({"127.0.0.1", self.address, SERVICE_ADDRESS}),
        )
        lines = [f'{self.tokens[key]},{name},{key},"{groups}"' for key, (name, groups) in USERS.items()]
        write_whole(self.pki / "tokens.csv", "\n".join(lines) + "\n")
        for key in USERS:
            write_whole(self.kubeconfig(key), self._kubeconfig(key))

        self._start_etcd()
        self._start_api_server()
        self.keeper.wait_for("answer from the API server", 60, lambda: self.call("GET", "/readyz") == b"ok")
        self._start_controllers()
        # Made by the controllers: when it is there, they work.
        self.keeper.wait_for("default ServiceAccount", 60,
                             lambda: self.call("GET", "/api/v1/namespaces/default/serviceaccounts/default"))

    def start_scheduler(self):
        self.keeper.start("kube-scheduler", [
            self.programs["kube-scheduler"], f"--kubeconfig={self.kubeconfig('scheduler')}",
            "--leader-elect=false", "--secure-port=0", *RATES])

    def describe(self):
        """What a test needs to know: the contents of env.json."""
        return {
            "url": self.url,
            "ca": str(self.pki / "ca.crt"),
            "version": json.loads(self.call("GET", "/version"))["gitVersion"],
            "tokens": self.tokens,
            "users": {key: name for key, (name, _) in USERS.items()},
            "kubeconfigs": {key: str(self.kubeconfig(key)) for key in USERS},
            "kubectl": self.programs["kubectl"],
            "audit": str(self.directory / "audit.log"),
            "logs": str(self.keeper.logs),
            "processes": str(self.directory / "processes.json"),
        }

    def call(self, method, path, user="admin", body=None):
        """The body of the answer to a request, or an OSError (an answer of 400 and above is one)."""
        request = urllib.request.Request(self.url + path, method=method, data=body and json.dumps(body).encode(), headers={
            "authorization": f"Bearer {self.tokens[user]}", "content-type": "application/json"})
        trust = ssl.create_default_context(cafile=self.pki / "ca.crt")
        # Never through a proxy that the environment names.
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as answer:
            return answer.read()

    def free_ports(self, count):
        return free_ports(self.address, count)

    def kubeconfig(self, key):
        return self.directory / f"{key}.kubeconfig"

    def _kubeconfig(self, key):
        # JSON is YAML.
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {
                "server": self.url, "certificate-authority": str(self.pki / "ca.crt")}}],
            "users": [{"name": key, "user": {"token": self.tokens[key]}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": key}}],
        }, indent=1)

    def _start_etcd(self):
        clients, peers = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.etcd_peers}"
        self.keeper.start("etcd", [
            self.programs["etcd"], "--name=tests", f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=tests={peers}",
            f"--quota-backend-bytes={8 << 30}", "--log-level=warn",
            *([] if self.fsync else ["--unsafe-no-fsync"])])

    def _start_api_server(self):
        local = self.address.startswith("127.")
        self.keeper.start("kube-apiserver", [
            self.programs["kube-apiserver"], f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}", f"--secure-port={self.port}", f"--advertise-address={self.address}",
            # The `kubernetes` Service may not point to a loopback address; without nodes nothing calls it anyway.
            *(["--endpoint-reconciler-type=none"] if local else []),
            f"--service-cluster-ip-range={SERVICES}",
            f"--tls-cert-file={self.pki / 'serving.crt'}", f"--tls-private-key-file={self.pki / 'serving.key'}",
            f"--client-ca-file={self.pki / 'ca.crt'}",
            f"--service-account-key-file={self.pki / 'accounts.pub'}",
            f"--service-account-signing-key-file={self.pki / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.pki / 'tokens.csv'}", "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            f"--kubelet-client-certificate={self.pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={self.pki / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={HERE / 'audit-policy.yaml'}", f"--audit-log-path={self.directory / 'audit.log'}",
            # `batch` drops events when its buffer is full; `blocking` has written the line when a request is done.
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=1000000"])  # megabytes: never begin a second file

    def _start_controllers(self):
        self.keeper.start("kube-controller-manager", [
            self.programs["kube-controller-manager"], f"--kubeconfig={self.kubeconfig('controllers')}",
            f"--service-account-private-key-file={self.pki / 'accounts.key'}", f"--root-ca-file={self.pki / 'ca.crt'}",
            "--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0", *RATES])


def free_ports(address, count):
    """Ports that nothing listens on, below those that the kernel gives to clients (so no connection takes one meanwhile)."""
    ports = []
    for _ in range(1000):
        port = random.SystemRandom().randrange(20000, 32000)
        try:
            with socket.socket() as one:
                one.bind((address, port))
        except OSError:
            continue
        ports.append(port)
        if len(set(ports)) == count:
            return list(dict.fromkeys(ports))
    raise Failed(f"no {count} free ports on {address} between 20000 and 32000")

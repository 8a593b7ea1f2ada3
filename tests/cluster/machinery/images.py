"""Container images without a registry and without a container builder: archives that containerd imports.

An image here is one layer, written in a fixed order with a fixed time, so that the same files give the same digest.

    pause       the sandbox's first process (programs/pause.go)
    busybox     Debian's busybox-static, a link for each applet
    python      Debian's python3 with what it needs, and busybox for a shell
    filter      a filter for the tests of the engine on a node (programs/filter), with busybox around it
    shellless   one static program and nothing else (programs/shellless.go)
    rootonly    busybox, and a shell of root's own
    engine      operator-engine, as the project's Dockerfile has it
"""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile

from . import dockerfile
from .keeper import Failed

HERE = pathlib.Path(__file__).resolve().parent.parent

PAUSE = "operator-engine.test/pause:1"
FILTER = "operator-engine.test/filter:1"
SHELLLESS = "operator-engine.test/shellless:1"
ROOTONLY = "operator-engine.test/rootonly:1"
ENGINE = "operator-engine.test/operator-engine:test"

NAMES = {
    # The last name of each is what the examples in manifests/ ask for: Debian's program plays it.
    "pause": [PAUSE],
    "busybox": ["docker.io/library/busybox:1.35", "docker.io/library/busybox:1.37"],
    "python": ["docker.io/library/python:3.11", "docker.io/library/python:3.12-slim"],
    "filter": [FILTER],
    "shellless": [SHELLLESS],
    "rootonly": [ROOTONLY],
    "engine": [ENGINE],
}

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

NOT_NEEDED = re.compile(r"^(debconf|dpkg|install-info|lib.*perl|mailcap|mime-support|perl|tar)")
"""Packages that Debian's python3 names and that only its installation uses."""


def make(name, folder, engine=None):
    """Returns the archive of an image, made now unless it is in `folder`. The engine's is always made."""
    archive = folder / f"{name}.tar"
    made_of = [pathlib.Path(__file__), *(HERE / "programs").iterdir()]
    if name != "engine" and archive.exists() and all(
            source.stat().st_mtime < archive.stat().st_mtime for source in made_of):
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = pathlib.Path(scratch) / "root"
        root.mkdir()
        config = {
            "pause": lambda: go_program(root, "pause"),
            "busybox": lambda: busybox(root),
            "python": lambda: python(root, pathlib.Path(scratch)),
            "filter": lambda: filter_script(root),
            "shellless": lambda: go_program(root, "shellless"),
            "rootonly": lambda: rootonly(root),
            "engine": lambda: operator_engine(root, engine),
        }[name]()
        write_archive(archive, root, NAMES[name], config)
    return archive


def cache():
    """Where archives are kept: beside the programs that `build` makes."""
    target = os.environ.get("CARGO_TARGET_DIR") or HERE.parent.parent / "target"
    return pathlib.Path(target).absolute() / "cluster-bin" / "images"


def go_program(root, name):
    source = HERE / "programs" / f"{name}.go"
    run(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", root / name, source],
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""})
    return {"Entrypoint": [f"/{name}"], "User": "65534:65534"}


def busybox(root):
    program = pathlib.Path("/bin/busybox")
    if not is_static(program):
        raise Failed("/bin/busybox is not the static one; as root: apt-get install busybox-static")
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy2(program, root / "bin/busybox")
    for applet in run([program, "--list"]).splitlines():
        link = root / "bin" / applet
        if not link.exists() and not link.is_symlink():
            link.symlink_to("busybox")
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    users(root)
    return {"Cmd": ["sh"], "Env": [PATH]}


def filter_script(root):
    busybox(root)
    shutil.copy2(HERE / "programs" / "filter", root / "filter")
    return {"Entrypoint": ["/filter"], "User": "65534:65534", "Env": [PATH]}


def rootonly(root):
    """As an image whose author never thought of another user: what it runs is root's, and nobody else's."""
    config = busybox(root)
    (root / "roots").mkdir(mode=0o700)
    shutil.copy2(root / "bin/busybox", root / "roots/sh")
    (root / "roots/sh").chmod(0o700)
    return config


def python(root, scratch):
    """Unpacked from Debian's packages, which need not be installed here: no chroot, no root, no package script."""
    listed = run(["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
                  "--no-replaces", "--no-enhances", "python3"])
    packages = sorted(set(re.findall(r"^[a-z0-9][a-z0-9.+-]*$", listed, re.MULTILINE)))
    packages = [package for package in packages if not NOT_NEEDED.match(package)]
    downloads = scratch / "packages"
    downloads.mkdir()
    run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages], cwd=downloads)
    for package in sorted(downloads.iterdir()):
        run(["dpkg-deb", "--extract", package, root])
    for leave in ("doc", "locale", "man", "lintian", "bug", "doc-base", "info", "menu", "pixmaps", "applications"):
        shutil.rmtree(root / "usr/share" / leave, ignore_errors=True)
    busybox(root)
    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    return {"Cmd": ["python3"], "Env": [PATH, "LANG=C.UTF-8"]}


def operator_engine(root, given):
    """As the Dockerfile has it."""
    if given is None:
        raise Failed("no engine given: --engine with its static binary; tests/image builds one")
    if not is_static(given):
        raise Failed(f"{given} is not a static program: in an image that holds nothing else it cannot start; build it with "
                     "--target x86_64-unknown-linux-musl, or with RUSTFLAGS='-C target-feature=+crt-static' and --target")
    return dockerfile.fill(root, given)


def users(root):
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/false\n"
                                     "nobody:x:65534:65534::/nonexistent:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n")


def write_archive(archive, root, names, config):
    """Writes the archive that `docker save` would, with one layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            entry = tar.gettarinfo(path, arcname=str(path.relative_to(root)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if stat.S_ISREG(path.lstat().st_mode):
                with open(path, "rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    blob = layer.getvalue()
    described = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": config, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(blob).hexdigest()]},
    }, sort_keys=True).encode()
    identity = hashlib.sha256(described).hexdigest()
    listed = json.dumps([{"Config": f"{identity}.json", "RepoTags": names, "Layers": ["layer.tar"]}]).encode()
    beside = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tarfile.open(beside, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in (("layer.tar", blob), (f"{identity}.json", described), ("manifest.json", listed)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    beside.rename(archive)


def is_static(program):
    """Whether an ELF program names no interpreter (PT_INTERP, type 3), so that it starts in an empty image."""
    head = pathlib.Path(program).read_bytes()[:4096]
    if head[:5] != b"\x7fELF\x02":
        raise Failed(f"{program} is not a 64-bit ELF program")
    table, size, count = (int.from_bytes(head[at:at + length], "little") for at, length in ((32, 8), (54, 2), (56, 2)))
    return all(int.from_bytes(head[table + each * size:table + each * size + 4], "little") != 3 for each in range(count))


def run(command, **options):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, **options)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(word) for word in command[:3])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout

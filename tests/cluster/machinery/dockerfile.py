"""Does what the last stage of the project's Dockerfile says, without a container builder.

It understands the instructions that stage uses and refuses every other one, rather than make an image that only resembles
what a builder would make.
"""

import json
import pathlib
import re
import shlex
import shutil

from .keeper import Failed

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent.parent

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def fill(root, program):
    """Fills an empty folder with the image's files, `program` being the one that was built, and returns its configuration."""
    config = {"Labels": {}}
    # What the stage `build` makes lies elsewhere here.
    built = {"/operator-engine": pathlib.Path(program), CERTIFICATES: pathlib.Path(CERTIFICATES)}
    for instruction, words, body in last_stage():
        if instruction == "FROM":
            if words != ["scratch"]:
                raise Failed(f"the Dockerfile's last stage begins from {words}, not from scratch")
        elif instruction == "COPY":
            copy(root, words, body, built)
        elif instruction == "LABEL":
            for word in words:
                name, _, value = word.partition("=")
                config["Labels"][name] = value
        elif instruction == "USER" and len(words) == 1:
            config["User"] = words[0]
        elif instruction == "ENTRYPOINT":
            config["Entrypoint"] = words
        else:
            raise Failed(f"the Dockerfile says {instruction} {' '.join(words)}, which tests/image does not understand")
    return config


def copy(root, words, body, built):
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    source, *target = [word for word in words if not word.startswith("--")]
    if len(target) != 1 or not target[0].startswith("/") or set(options) - {"from", "chmod"} or "chmod" not in options:
        raise Failed(f"the Dockerfile says COPY {' '.join(words)}, which tests/image does not understand")
    path = root / target[0][1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    if body is not None:
        path.write_text(body)
    elif options.get("from") == "build" and source in built:
        if not built[source].exists():
            raise Failed(f"{built[source]} is missing; for certificates: apt-get install ca-certificates")
        shutil.copyfile(built[source], path)
    else:
        raise Failed(f"the Dockerfile copies {source} from {options.get('from')}, which tests/image does not know")
    path.chmod(int(options["chmod"], 8))


def last_stage():
    """Its instructions: (name, words, body of a here-document or None)."""
    found = []
    lines = iter((PROJECT / "Dockerfile").read_text().splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines)
        instruction, _, rest = line.partition(" ")
        words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
        body = None
        if here := re.search(r"<<(\w+)", rest):
            body = ""
            while (line := next(lines)) != here[1]:
                body += line + "\n"
        if instruction == "FROM":
            found = []
        found.append((instruction, words, body))
    return found

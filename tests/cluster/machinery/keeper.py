"""Starts a cluster's programs, keeps them, and ends exactly those.

The keeper is the parent of every program. Each asks the kernel to be killed when the keeper dies, however it dies, so
no program of a cluster outlives its keeper. A program that ends by itself (or is killed by a test) is started again with
the same arguments, as a real node would do; it is counted, and one that cannot stay up ends the whole cluster.

What a keeper started is written to DIR/processes.json with each process's start time: `down` never signals a process
that merely has the number of one that is gone.
"""

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time

MOST_RESTARTS = 20
"""Starts of one program in one cluster's life before the keeper gives up. A test kills a few, a crash loop does more."""

PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """The cluster cannot be brought up or kept; the message says why and what to do."""


class Keeper:
    """The programs of one cluster, in the order in which they were started."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.logs = self.directory / "log"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.programs = {}
        self._write()

    def start(self, name, command, environment=None):
        """Starts a program; its output goes to DIR/log/NAME.log."""
        self.programs[name] = Program(name, [str(word) for word in command], environment, self.logs / f"{name}.log")
        self.programs[name].start()
        self._write()

    def wait_for(self, what, seconds, probe):
        """Waits until `probe()` is true. Fails at once when a program ends, and after `seconds` with the last reason."""
        reason, until = "", time.monotonic() + seconds
        while time.monotonic() < until:
            for program in self.programs.values():
                if program.process.poll() is not None:
                    raise Failed(f"{program.name} ended with {program.process.returncode} while waiting for {what}; "
                                 f"the end of {program.log}:\n{program.last_lines()}")
            try:
                if probe():
                    return
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                reason = f": {error}"
            time.sleep(0.05)
        raise Failed(f"no {what} after {seconds} s{reason}; the programs' output is in {self.logs}")

    def keep(self):
        """Starts again what ended since the last call."""
        for program in self.programs.values():
            if program.process.poll() is None:
                continue
            if program.starts > MOST_RESTARTS:
                raise Failed(f"{program.name} ended {program.starts} times; the end of {program.log}:\n"
                             f"{program.last_lines()}")
            program.start()
            self._write()

    def stop(self, name, seconds=10):
        """Ends one program: SIGTERM, then after `seconds` SIGKILL. Nothing happens when it was never started."""
        program = self.programs.pop(name, None)
        if program is None:
            return
        program.process.terminate()
        try:
            program.process.wait(seconds)
        except subprocess.TimeoutExpired:
            program.process.kill()
            program.process.wait()
        self._write()

    def stop_all(self):
        """Ends all programs, the last started first."""
        for name in reversed(list(self.programs)):
            self.stop(name)

    def _write(self):
        # The keeper itself comes first: it is what `down` asks to end.
        listed = [{"name": "keeper", "pid": os.getpid(), "started": started_at(os.getpid())}]
        for program in self.programs.values():
            pid = program.process.pid
            listed.append({"name": program.name, "pid": pid, "started": started_at(pid), "starts": program.starts})
        write_whole(self.directory / "processes.json", json.dumps(listed, indent=1))


class Program:
    """One program, and how to start it again."""

    def __init__(self, name, command, environment, log):
        self.name, self.command, self.log = name, command, log
        self.environment = {**os.environ, **(environment or {})}
        self.process, self.starts = None, 0

    def start(self):
        keeper = os.getpid()
        libc = ctypes.CDLL(None, use_errno=True)

        def die_with_the_keeper():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != keeper:  # it died before the kernel knew
                os._exit(1)

        self.starts += 1
        with open(self.log, "ab") as log:
            # A session of its own: an interrupt typed at a terminal reaches the keeper, which then ends them in order.
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment, start_new_session=True,
                                            preexec_fn=die_with_the_keeper)

    def last_lines(self, lines=15):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def started_at(pid):
    """When a process started, in the kernel's ticks since boot; None when there is none (a zombie counts as none)."""
    try:
        # The name in parentheses may hold spaces; the fields after it may not.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def end(listed, seconds=60):
    """Ends what a `processes.json` lists: asks the keeper, waits, then kills by number whatever is still the same."""
    def alive():
        return [each for each in listed if started_at(each["pid"]) == each["started"] is not None]

    for each in alive():
        if each["name"] == "keeper":
            os.kill(each["pid"], signal.SIGTERM)
    until = time.monotonic() + seconds
    while alive() and time.monotonic() < until:
        if not any(each["name"] == "keeper" for each in alive()):
            until = min(until, time.monotonic() + 2)  # the kernel is ending the rest
        time.sleep(0.02)
    for each in alive():
        os.kill(each["pid"], signal.SIGKILL)
    return [each["name"] for each in alive()]


def write_whole(path, text, mode=0o600):
    """Writes a file that is either absent, old or complete, and readable by its owner alone."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.chmod(mode)
    beside.rename(path)

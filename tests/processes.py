"""Real processes in tests: start them, wait for what they do, leave none behind."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

DEADLINE = 120.0  # seconds; only a hang takes so long, beside whatever else
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))

SUITE = """
[suite]
name = "first"
threads = 1
[defaults]
model = "succeed"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
"""
NO_RETRIES = SUITE.replace("threads = 1", "threads = 1\nretries = 0")


def wait_until(condition):
    """The first true value of `condition()`; fails where it does not come in time."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def drive(file, *arguments, **options):
    """Start `s3tui run FILE` with the stand-in worker, in a session of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen([*STAND_IN, "drive", str(file), *arguments], **pipes | options)


def is_alive(pid):
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def worker_pid(directory):
    """The worker of a run, once it has written its first event."""
    from core.run.events import Started, read_events

    events = wait_until(lambda: [e for e in read_events(directory / "events.jsonl")[0] if isinstance(e, Started)])
    return events[-1].pid


def kill(pid, number):
    """Send a signal; a process that is gone is what was wanted."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@contextlib.contextmanager
def nothing_left(workspace):
    """At the end, end whatever dispatches or runs in a workspace."""
    from s3tui.launchers.processes import kill_all
    from s3tui.runs.workspace import Workspace
    from s3tui.system.file_locks import is_locked

    try:
        yield
    finally:
        there = Workspace(workspace)
        while (who := there.dispatcher()) is not None:
            kill(who["pid"], signal.SIGKILL) if who["pid"] else None
            time.sleep(0.02)
        for name in there.names():
            directory = there.run(name)
            while is_locked(directory.log):
                kill_all(directory)
                time.sleep(0.02)


def drive_through_kills(file, kills, seed, step_seconds):
    """Run a suite of stand-ins to its end; before that, its dispatcher is killed so many times."""
    pick = random.Random(seed)
    environment = os.environ | {"STAND_IN_STEP_SECONDS": step_seconds}
    for _ in range(kills):
        process = drive(file, env=environment)
        time.sleep(pick.uniform(0.2, 0.9))  # no synchronisation: any moment will do
        process.kill()
        process.communicate(timeout=DEADLINE)
    process = drive(file, env=environment)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err

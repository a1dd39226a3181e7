"""What the app costs, measured from outside: it runs in a terminal of its own, keys go in, what it draws comes out.

    python benchmarks/app.py [--finished 3000]

64 runs live and write 20 events a second each, 1,000 runs are finished, or as many as are asked for. Measured are: from
Textual's start to the first full table, and the time of the processor up to there; from a key to what it changes on the
screen; from an event to the screen; the share of a core while all that goes on, and while nothing runs; memory after
hours' worth of events. Prints the figures with their targets and keeps them in benchmarks/results.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from manager import RATE, RESULTS, RUNS, WORKERS, WRITER, finished_run, living_runs, long_events

from core.run.events import Eval, EventWriter, Step
from core.run.rundir import RunDir, write_json
from s3tui.runs.workspace import Workspace

SIZE = (120, 40)
KEYS = 60
WATCHED_SECONDS = 20.0
PATIENCE = 60.0
HOURS_OF_EVENTS = 100_000  # of the run that is looked at: 28 hours at a step a second

# Prints when Textual has started, which is before the app looks at anything.
START = """
import sys, time
from pathlib import Path
from s3tui.tui.app import S3App
from s3tui.runs.workspace import Workspace
S3App.on_load = lambda app: Path(sys.argv[2]).write_text(repr(time.time()))
S3App(Workspace(Path(sys.argv[1]))).run()
"""


class Terminal:
    """A child in a terminal: what it draws is read as it comes, without what only colours or places it."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(command[0], command)
        fcntl.ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.process = psutil.Process(self.pid)

    def read(self, seconds: float) -> str:
        """What is drawn within so many seconds, or sooner."""
        if not select.select([self._handle], [], [], seconds)[0]:
            return ""
        try:
            drawn = os.read(self._handle, 2**20).decode(errors="replace")
        except OSError:  # the child has ended
            return ""
        return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", drawn)

    def wait_for(self, text: str) -> float:
        """Until this is drawn; when it was."""
        deadline, drawn = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            drawn = (drawn + self.read(1.0))[-20_000:]
            if text in drawn:
                return time.time()
        raise TimeoutError(f"{text!r} was not drawn")

    def press(self, key: str, text: str) -> float:
        """Press a key; milliseconds until the text is drawn."""
        began = time.time()
        os.write(self._handle, key.encode())
        return 1000 * (self.wait_for(text) - began)

    def settle(self, seconds: float) -> None:
        """Read on for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(left)

    def share(self, seconds: float) -> float:
        """The share of a core that the child takes, in percent."""
        before = sum(self.process.cpu_times()[:2])
        began = time.monotonic()
        self.settle(seconds)
        return round(100 * (sum(self.process.cpu_times()[:2]) - before) / (time.monotonic() - began), 2)

    def memory(self) -> float:
        """The resident set, in megabytes."""
        return round(self.process.memory_info().rss / 1e6, 1)

    def close(self) -> None:
        """End the child."""
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            self.read(0.1)
        os.close(self._handle)


@contextmanager
def opened(workspace: Workspace, folder: Path) -> Iterator[tuple[Terminal, float]]:
    """The app in a terminal, and when Textual had started."""
    stamp = folder / "started"
    stamp.unlink(missing_ok=True)
    terminal = Terminal([sys.executable, "-c", START, str(workspace.path), str(stamp)])
    try:
        while not (stamp.exists() and stamp.read_text()):
            terminal.read(0.01)
        yield terminal, float(stamp.read_text())
    finally:
        terminal.close()


def live(folder: Path, finished: int) -> dict[str, Any]:
    """Many runs live, and many more are finished."""
    workspace = Workspace(folder / "busy")
    workspace.make()
    long_events(folder / "events")
    for number in range(finished):
        finished_run(RunDir(workspace.path / f"old/run-{number:04d}"), number, folder / "events")
    figures: dict[str, Any] = {}
    with living_runs(workspace):
        paths = [workspace.run(f"first/{n:02d}").events for n in range(WORKERS)]
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(RATE), *map(str, paths)])
        try:
            with opened(workspace, folder) as (terminal, started):
                shown = terminal.wait_for(f"{finished} finished")
                figures["start_cpu_ms"] = round(1000 * sum(terminal.process.cpu_times()[:2]))
                figures["start_ms"] = round(1000 * (shown - started))
                terminal.settle(5.0)
                figures["live_percent_of_a_core"] = terminal.share(WATCHED_SECONDS)
                figures |= _keys(terminal)
                figures |= _events(terminal, paths)
                figures["live_memory_mb"] = terminal.memory()
        finally:
            writer.kill()
            writer.wait()
    return figures


def _keys(terminal: Terminal) -> dict[str, Any]:
    """From a key to what it changes: the cursor moves to another run, whose name the title of the log says."""
    delays = []
    for number in range(1, KEYS + 1):
        delays.append(terminal.press("j", f"log of first/{number:02d}"))
        terminal.settle(0.1 + 0.013 * (number % 7))  # no multiple of any timer
    return {"key_median_ms": round(statistics.median(delays)), "key_p95_ms": round(_quantile(delays, 0.95))}


def _events(terminal: Terminal, paths: list[Path]) -> dict[str, Any]:
    """From an event to the screen: the score of an evaluation, which stays until the next one."""
    delays = []
    writer = EventWriter(paths[WORKERS - 5])
    for number in range(30):
        score = 0.4001 + number / 10_000
        began = time.time()
        writer.write(Eval("search", number, "validation", {"accuracy": score}, True))
        delays.append(1000 * (terminal.wait_for(f"{100 * score:.2f}") - began))
        terminal.settle(0.3 + 0.017 * (number % 5))
    writer.close()
    return {"event_median_ms": round(statistics.median(delays)), "event_p95_ms": round(_quantile(delays, 0.95))}


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def idle(folder: Path, finished: int) -> dict[str, Any]:
    """Nothing runs."""
    workspace = Workspace(folder / "idle")
    workspace.make()
    for number in range(finished):
        finished_run(RunDir(workspace.path / f"old/run-{number:04d}"), number, folder / "events")
    with opened(workspace, folder) as (terminal, _):
        terminal.wait_for(f"{finished} finished")
        # Past the first look at all folders, which reads those again that were made right before.
        terminal.settle(40.0)
        return {"idle_percent_of_a_core": terminal.share(65.0), "idle_memory_mb": terminal.memory()}


def memory(folder: Path) -> dict[str, Any]:
    """The run on the screen writes as many events as in a day."""
    workspace = Workspace(folder / "long")
    workspace.make()
    finished_run(RunDir(workspace.path / "old/run"), 0, folder / "events")
    directory = workspace.run("old/run")
    directory.events.unlink()
    figures = {}
    writer = EventWriter(directory.events)
    with opened(workspace, folder) as (terminal, _):
        terminal.wait_for("1 finished")
        for share in (1, 10):
            for step in range(HOURS_OF_EVENTS // 10 if share == 1 else HOURS_OF_EVENTS * 9 // 10):
                at = step + (0 if share == 1 else HOURS_OF_EVENTS // 10)
                writer.write(Step("search", at, 1.0, 1.0, 1e-3, 1.0, 0.1, 0.1, 9000.0, 9100.0, 9000, 0.2))
                if step % 500 == 0:
                    terminal.read(0)
            terminal.settle(8.0)
            figures[f"memory_after_{HOURS_OF_EVENTS * share // 10}_steps_mb"] = terminal.memory()
    writer.close()
    first, last = figures.values()
    return figures | {"memory_growth_mb": round(last - first, 1)}


TARGETS = {
    "start_ms": 800, "key_p95_ms": 50, "event_p95_ms": 500, "live_percent_of_a_core": 12, "idle_percent_of_a_core": 0.5,
    "live_memory_mb": 60, "idle_memory_mb": 60, "memory_growth_mb": 10,
}  # fmt: skip


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--finished", type=int, default=RUNS)
    finished, load = parser.parse_args().finished, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = live(folder, finished) | idle(folder, finished) | memory(folder)
    for key, value in figures.items():
        target = TARGETS.get(key)
        print(f"{key:36}{value!s:>10}{f'   target under {target}' if target else ''}")
    about = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0)), "load_before": load}
    RESULTS.mkdir(exist_ok=True)
    settings = {"live": WORKERS, "events_per_second_each": RATE, "finished": finished, "size": SIZE}
    path = RESULTS / f"app-{finished}-{time.strftime('%Y-%m-%d')}.json"
    write_json(path, {"machine": about, "settings": settings, "targets": TARGETS, "figures": figures})
    print(json.dumps(about))


if __name__ == "__main__":
    main()

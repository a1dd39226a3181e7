"""What the manager costs: start-up, lists of a thousand runs, a dispatcher of 64 workers, the delay of events.

    python benchmarks/manager.py

Prints the figures beside their targets and keeps them in benchmarks/results/manager-DATE.json. Nothing of it is a test:
figures of a busy machine say little.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.run.events import Eval, EventReader, EventWriter, Finished, Phase, Started, Step
from core.run.rundir import RunDir, write_json
from s3tui.cli.foreground.progress import Lines
from s3tui.cli.foreground.watcher import Watcher
from s3tui.devices.placement import Place
from s3tui.launchers.start_supervisor import start_supervisor
from s3tui.runs.index import Board
from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Running
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.dispatcher import Dispatcher

RUNS, STEPS = 1000, 10_000
WORKERS, RATE = 64, 20
SECONDS = 20.0  # for how long the dispatcher is watched
POLL_SECONDS = 0.25  # of a session
SPEC = {"model": "m", "method": "s3", "seed": 0, "device": "cpu", "task": {"name": "icd10-chapter"}}
RESULTS = Path(__file__).with_name("results")


def milliseconds(command: list[str], cwd: Path, repeats: int = 9) -> float:
    """The median wall time of a command."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return round(1000 * statistics.median(times), 1)


def finished_run(directory: RunDir, seed: int, events: Path) -> None:
    """A finished run of many steps; all share the blocks of one event file, which nobody should read anyway."""
    directory.path.mkdir(parents=True)
    score = 0.5 + seed / 10_000
    result = {
        "score": score, "metric": "accuracy", "metrics": {"accuracy": score}, "task": "icd10-chapter", "model": "m",
        "method": "s3", "budget": 9086, "parameters": 9000, "backbone_parameters": 22_713_216,
        "seconds": {"total": 1234.5}, "seed": seed,
    }  # fmt: skip
    summary = {"v": 1, "status": "finished", "phase": "test", "step": STEPS, "total": STEPS, "score": score}
    files = [(directory.spec, SPEC | {"seed": seed}), (directory.result, result), (directory.summary, summary)]
    for path, data in [*files, (directory.queue, Queue().to_json())]:
        path.write_text(json.dumps(data))
    directory.log.touch()
    os.link(events, directory.events)


def long_events(path: Path) -> None:
    """The events of one whole run."""
    writer = EventWriter(path)
    writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
    writer.write(Phase("search", STEPS))
    for step in range(1, STEPS + 1):
        writer.write(Step("search", step, 1.0 / step, 1.0, 1e-3, 1.0 / step, 0.1, 0.1, 9000.0, 9100.0, 9000, 0.2))
    writer.write(Finished(0.5, {"accuracy": 0.5}, 1.0))
    writer.close()


def drop_caches() -> bool:
    """Forget what the kernel has read, where that is allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def start_up(folder: Path) -> dict[str, Any]:
    """Help and status against the bare interpreter."""
    workspace = folder / "small"
    long_events(folder / "events")
    for number in range(3):
        finished_run(RunDir(workspace / f"first/{number}"), number, folder / "events")
    (workspace / ".s3tui").mkdir()
    s3tui = [sys.executable, "-m", "s3tui"]
    bare = milliseconds([sys.executable, "-c", "pass"], folder)
    shown = milliseconds([*s3tui, "--help"], folder)
    status = milliseconds([*s3tui, "status", "--in", str(workspace)], folder)
    supervisor = milliseconds([sys.executable, "-c", "import s3tui.launchers.supervisor"], folder)
    return {
        "bare_ms": bare, "help_ms": shown, "status_ms": status, "supervisor_imports_ms": supervisor,
        "help_more_than_bare_ms": round(shown - bare, 1), "status_more_than_bare_ms": round(status - bare, 1),
    }  # fmt: skip


def lists(folder: Path) -> dict[str, Any]:
    """A list of a thousand runs, cold and warm."""
    workspace = folder / "large"
    for number in range(RUNS):
        finished_run(RunDir(workspace / f"first/run-{number:04d}"), number, folder / "events")
    (workspace / ".s3tui").mkdir()
    command = [sys.executable, "-m", "s3tui", "list", "--in", str(workspace)]
    was_cold = drop_caches()
    cold = milliseconds(command, folder, repeats=1)
    return {"cold_ms": cold, "caches_dropped": was_cold, "warm_ms": milliseconds(command, folder, repeats=5)}


@contextmanager
def living_runs(workspace: Workspace) -> Iterator[list[EventWriter]]:
    """Runs whose workers sleep; who writes their events is in our hands."""
    sleeper = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
    children, writers = [], []
    try:
        for number in range(WORKERS):
            directory = workspace.run(f"first/{number:02d}")
            directory.create(SPEC | {"seed": number})
            write_json(directory.queue, Queue().to_json())
            children.append(start_supervisor(directory, Place(1), "cpu", (), sleeper))
            writers.append(EventWriter(directory.events))
        while not all(workspace.run(f"first/{n:02d}").process.exists() for n in range(WORKERS)):
            time.sleep(0.1)
        yield writers
    finally:
        for child in children:
            if child is not None:
                child.send_signal(signal.SIGINT)
                child.wait()


WRITER = """
import sys, time
from pathlib import Path
from core.run.events import EventWriter, Phase, Step
writers = [EventWriter(Path(p)) for p in sys.argv[2:]]
for writer in writers:
    writer.write(Phase("search", 10**6))
step = 0
began = time.monotonic()
while True:
    step += 1
    for writer in writers:
        writer.write(Step("search", step, 1.0 / step, 1.0, 1e-3, 1.1 / step, 0.1, 0.1, 9000.0, 9100.0, 9000, 0.2))
    time.sleep(max(0.0, began + step / float(sys.argv[1]) - time.monotonic()))
"""


def dispatcher(folder: Path) -> dict[str, Any]:
    """A dispatcher that watches as many live workers as it may ever have."""
    workspace = Workspace(folder / "busy")
    workspace.make_writable()
    with living_runs(workspace):
        paths = [str(workspace.run(f"first/{n:02d}").events) for n in range(WORKERS)]
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(RATE), *paths])
        try:
            board = Board(workspace)
            board.refresh()
            assert all(isinstance(run.status, Running) for run in board.runs.values())
            told = Dispatcher(board, gpus=list)
            watcher = Watcher(board, None, Silent())
            watched = _share(lambda: watcher.update(told.tick()))
            alone = _share(told.tick)
        finally:
            writer.kill()
            writer.wait()
    return {
        "workers": WORKERS, "events_per_second": WORKERS * RATE,
        "watching_percent_of_a_core": watched, "detached_percent_of_a_core": alone,
    }  # fmt: skip


class Silent(Lines):
    """Watches as a log would, and prints nothing."""

    def line(self, text: str) -> None:
        """Nothing."""

    def event(self, run: str, state: Any, event: Any) -> None:
        """Nothing; the state is what costs."""


def _share(tick: Callable[[], object]) -> float:
    """The share of a core that ticking takes, in percent."""
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < SECONDS:
        tick()
        time.sleep(POLL_SECONDS)
    return round(100 * (time.process_time() - used) / (time.monotonic() - began), 2)


def latency(folder: Path) -> dict[str, Any]:
    """From the write of an event to a client that knows it, polling as a session does."""
    path = folder / "latency.jsonl"
    tail, writer, delays = EventReader(path), EventWriter(path), []
    stop = threading.Event()

    def write() -> None:
        for step in range(60):
            writer.write(Eval("search", step, "validation", {"accuracy": 0.5}, False))
            time.sleep(0.137)  # no multiple of the polling
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not stop.is_set():
        delays += [time.time() - event.t for event in tail.poll()]
        time.sleep(POLL_SECONDS)
    thread.join()
    worst = sorted(delays)[int(0.99 * (len(delays) - 1))]
    return {"median_ms": round(1000 * statistics.median(delays)), "p99_ms": round(1000 * worst)}


TARGETS = {
    "start_up": {"help_more_than_bare_ms": 150, "status_more_than_bare_ms": 150},
    "list": {"cold_ms": 1000},
    "dispatcher": {"watching_percent_of_a_core": 5},
    "latency": {"p99_ms": 300},
}


def main() -> None:
    """Measure, print and keep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "start_up": start_up(folder), "list": lists(folder), "dispatcher": dispatcher(folder),
            "latency": latency(folder),
        }  # fmt: skip
    for part, values in figures.items():
        for key, value in values.items():
            target = TARGETS[part].get(key)
            print(f"{part:12}{key:32}{value!s:>10}{f'   target under {target}' if target else ''}")
    about = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    RESULTS.mkdir(exist_ok=True)
    date = time.strftime("%Y-%m-%d")
    write_json(RESULTS / f"manager-{date}.json", {"machine": about, "targets": TARGETS} | figures)


if __name__ == "__main__":
    main()

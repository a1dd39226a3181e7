"""What mirroring into a tracker costs: a `step` and a `gates` event of 916 candidates, written while a mirror follows.

    python benchmarks/mirror.py

The worker is not touched, so what can slow it is a core that both want. Here events come as fast as they can be
written, hundreds of times as many a second as a search writes. `two_events_ms` is the cost of writing for the worker;
`cpu_ms_of_two_events` and `cpu_s_to_start` is what the process that mirrors, at low priority, computes itself.
The figures are printed, and kept in benchmarks/results/mirror.json.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from core.run.events import EventWriter, Gates, Space, Step
from s3tui.runs.workspace import Workspace
from s3tui.system.file_locks import try_lock
from s3tui.tracking.start import start_mirrors

CANDIDATES = 916  # of `mix-low-rank` on T5-large
EVENTS = 2000
TRACKERS = ("", "tensorboard", "mlflow")
RESULTS = Path(__file__).parent / "results" / "mirror.json"


def telling(tracker: str, events: int) -> tuple[float, float]:
    """Seconds that the two events take the worker, and CPU seconds of the mirror in all."""
    generator = random.Random(0)
    p = [round(generator.random(), 6) for _ in range(CANDIDATES)]
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        workspace.make_writable()
        run = workspace.run("first/x")
        run.create({"model": "m"})
        lock = try_lock(run.log)  # the run is being worked on
        assert lock is not None
        writer = EventWriter(run.events)
        writer.write(Space([], 0, 1, 0, 102_458))
        mirrors = start_mirrors(workspace, "first/x", [tracker] if tracker else [])
        seconds = []
        for step in range(1, events + 1):
            began = time.perf_counter()
            writer.write(
                Step("search", step, 1 / 3, 1 / 7, 3e-4, 1 / 3, 1 / 70, 0.1, 102_457.99, 231_004.5, 102_400, 1.4)
            )
            writer.write(Gates(step, p))
            seconds.append(time.perf_counter() - began)
        writer.close()
        os.close(lock)
        cpu = 0.0
        for mirror in mirrors:
            _, status, usage = os.wait4(mirror.pid, 0)
            assert status == 0, run.log.read_text()
            mirror.returncode = 0
            cpu += usage.ru_utime + usage.ru_stime
    return statistics.median(seconds), cpu


def main() -> None:
    """Measure each, print and keep them."""
    rows = []
    for tracker in TRACKERS:
        seconds, cpu = telling(tracker, EVENTS)
        start = telling(tracker, 1)[1]
        rows.append(
            {
                "tracker": tracker or "none",
                "two_events_ms": round(seconds * 1e3, 4),
                "cpu_s_to_start": round(start, 2),
                "cpu_ms_of_two_events": round((cpu - start) / EVENTS * 1e3, 3),
            }
        )
    figures = {
        "date": datetime.date.today().isoformat(), "machine": "CPU, 2 shared cores", "candidates": CANDIDATES,
        "events": EVENTS, "rows": rows,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

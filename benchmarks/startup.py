"""How long it takes from `python -m core RUN_DIR` to the first step, with tokenised data cached and not.

    OMP_NUM_THREADS=1 python benchmarks/startup.py [--rounds 5]

The run is the search of the default suite: `builtin:minilm` on 12,600 titles of ICD-10-CM. `total` is from the start of
the process to the first `step` event. The parts are those of a process of its own, which does the same with a clock in
it. Medians, and the least and the largest; also kept in benchmarks/results/startup.json. The operating system has read
all files before.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.run.events import EventReader, Step
from core.run.rundir import RunDir
from core.run.spaces import library_space
from core.run.spec import RunSpec

RESULTS = Path(__file__).with_name("results") / "startup.json"
DEADLINE = 120.0  # seconds
TARGET = 6.0  # seconds, with cached data
PARTS = (
    "python, core.run", "import torch", "import transformers, core", "import models", "configuration, tokenizer",
    "data", "weights", "sites", "first step",
)  # fmt: skip


def spec() -> RunSpec:
    """The search of the default suite."""
    return RunSpec.model_validate(
        {
            "model": "builtin:minilm", "space": library_space("mix-low-rank"), "budget": 9216, "data_seed": 1,
            "task": {"name": "icd10-chapter", "per_class": 600, "max_length": 16},
            "search": {"max_steps": 150, "batch_size": 16, "hypergradient": "first-order", "gates": "hard"},
        }
    )  # fmt: skip


def start(cache: Path, *command: str) -> subprocess.Popen[str]:
    """Start Python with this cache."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)


def total(run: RunDir, cache: Path) -> float:
    """Seconds from the start of a worker to its first step."""
    began = time.monotonic()
    worker = start(cache, "-m", "core", str(run.path))
    try:
        reader = EventReader(run.events)
        while time.monotonic() - began < DEADLINE:
            if any(isinstance(event, Step) for event in reader.poll()):
                return time.monotonic() - began
            if worker.poll() is not None:
                raise RuntimeError("the worker ended before its first step")
            time.sleep(0.005)
        raise TimeoutError
    finally:
        worker.kill()
        worker.wait()


def parts(run: RunDir, cache: Path) -> dict[str, float]:
    """Seconds of each part of a start."""
    output, _ = start(cache, __file__, "--inside", str(run.path)).communicate(timeout=DEADLINE)
    return dict(json.loads(output.splitlines()[-1]))


def inside(run: RunDir) -> None:
    """Do a run up to its first step, and print what took how long."""
    import gc

    gc.disable()  # as core.__main__ does
    clock = Clock()
    clock.took("python, core.run")
    import torch  # noqa: F401

    clock.took("import torch")
    from core.__main__ import _import_models
    from core.model.backbone import Pretrained
    from core.search import loop
    from core.training import setup
    from core.worker import execute as worker

    clock.took("import transformers, core")
    _import_models()
    clock.took("import models")
    clock.wrap(setup, "open_pretrained", "configuration, tokenizer")
    clock.wrap(setup, "load_data", "data")
    clock.wrap(Pretrained, "load", "weights")
    clock.wrap(setup, "place", "sites")
    report = loop._report

    def first_step(*arguments: Any) -> None:
        report(*arguments)
        clock.took("first step")
        print(json.dumps(clock.seconds), flush=True)
        os._exit(0)

    loop._report = first_step
    worker.execute(run)


class Clock:
    """Seconds by what was done, from the start of the process; what is between two parts counts with the second."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
        self._last = time.monotonic() - age

    def took(self, what: str) -> None:
        """The time since the last one was spent on this."""
        now = time.monotonic()
        self.seconds[what], self._last = now - self._last, now

    def wrap(self, owner: Any, name: str, what: str) -> None:
        """Take the time of a function of a module."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            self.took(what)
            return result

        setattr(owner, name, timed)


def rounds(count: int) -> dict[str, list[dict[str, float]]]:
    """Starts without and with cached data, in turn; the first, which may have to wait for the disk, is left out."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count + 1):
            for kind in found:
                cache = Path(folder) / f"cache-{number}"
                of_parts = Path(folder) / f"parts-{number}"  # its own, as it fills the cache too
                runs = [RunDir(Path(folder) / f"{kind}-{number}-{what}") for what in ("total", "parts")]
                for run in runs:
                    run.create(spec().model_dump(mode="json"))
                seconds = {"total": total(runs[0], cache)} | parts(runs[1], of_parts)
                found[kind] += [seconds] if number else []
    return found


def report(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The content of the result file."""
    return {
        "date": datetime.date.today().isoformat(),
        "device": f"CPU, {platform.machine()}, {os.cpu_count()} cores",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {name: version(name) for name in ("torch", "transformers")} | {"python": platform.python_version()},
        "target_warm_seconds": TARGET,
        "seconds": {
            kind: {
                part: {"median": statistics.median(values), "min": min(values), "max": max(values)}
                for part in ("total", *PARTS)
                if (values := [one[part] for one in times])
            }
            for kind, times in found.items()
        },
    }


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="How long a run takes to its first step.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(RunDir(options.inside))
        return
    result = report(rounds(options.rounds))
    print(f"{result['device']}, {result['threads']} threads; seconds, medians (least to largest)")
    for part in ("total", *PARTS):
        cells = [result["seconds"][kind][part] for kind in ("cold", "warm")]
        print(f"{part:26}" + "".join(f"{c['median']:8.2f} ({c['min']:.2f} to {c['max']:.2f})" for c in cells))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

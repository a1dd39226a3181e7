"""How many runs an hour a machine makes when 1, 2 or 4 of them work side by side, each on one thread.

    python benchmarks/throughput.py

Each run is a whole one, start and retraining included: a short search of `builtin:minilm` on titles of ICD-10-CM. With
one at a time two are made, else as many as work side by side; the hour is reckoned from when the first starts to when
the last ends.
Then one run by itself, of a larger batch, is shared by 1 and by 2 processes of one thread each (`core --processes 2`):
the steps of its search in a second. The figures are also kept in benchmarks/results/. On a GPU
(`--device cuda`) all runs share the first, as with `per_gpu`, and none is shared by processes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.run.events import Step, read_events
from core.run.rundir import RunDir, read_json
from core.run.spaces import library_space
from core.run.spec import RunSpec

AT_A_TIME = (1, 2, 4)
PROCESSES = (1, 2)  # of one run
SHARED_BATCH = 32  # of that run
STEPS = 20  # of the search, and of retraining
RESULTS = Path(__file__).with_name("results")


def spec(seed: int, device: str, batch_size: int = 8, retrain_steps: int = STEPS) -> RunSpec:
    """A short run."""
    training = {"max_steps": STEPS, "batch_size": batch_size, "eval_every": STEPS, "learning_rate": 5e-3}
    return RunSpec.model_validate(
        {
            "model": "builtin:minilm", "space": library_space("mix-low-rank"), "budget": 9216, "seed": seed,
            "device": device, "task": {"name": "icd10-chapter", "per_class": 100, "max_length": 16},
            "search": training | {"hypergradient": "first-order"}, "retrain": training | {"max_steps": retrain_steps},
        }
    )  # fmt: skip


def seconds(folder: Path, runs: int, at_a_time: int, device: str, cache: Path) -> float:
    """How long so many runs take with so many at a time."""
    waiting = [RunDir(folder / f"{at_a_time}-{seed}") for seed in range(runs)]
    for seed, run in enumerate(waiting):
        run.create(spec(seed, device).model_dump(mode="json"))
    began, done = time.monotonic(), list(waiting)
    working: list[subprocess.Popen[bytes]] = []
    while waiting or working:
        working = [worker for worker in working if worker.poll() is None]
        while waiting and len(working) < at_a_time:
            working.append(start(waiting.pop(0), cache))
        time.sleep(0.02)
    took = time.monotonic() - began
    for run in done:
        read_json(run.result)  # a run that failed has none
    return took


def steps_per_second(run: RunDir, processes: int, device: str, cache: Path) -> float:
    """The search steps that one run makes in a second, from the first to the last, shared by so many processes."""
    run.create(spec(0, device, SHARED_BATCH, retrain_steps=1).model_dump(mode="json"))
    start(run, cache, "--processes", str(processes)).wait()
    times = [e.t for e in read_events(run.events)[0] if isinstance(e, Step) and e.phase == "search"]
    return (len(times) - 1) / (times[-1] - times[0])


def start(run: RunDir, cache: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a worker on one thread, with the cache of tokenised data that all of them share."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "core", *options, str(run.path)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def together(folder: Path, device: str) -> dict[str, float]:
    """Runs an hour, by how many work at a time."""
    seconds(folder / "first", 1, 1, device, folder / "cache")  # reads everything from the disk, and fills the cache
    hours = {}
    for count in AT_A_TIME:
        runs = max(2, count)
        hours[str(count)] = 3600 * runs / seconds(folder / "rest", runs, count, device, folder / "cache")
    return hours


def shared(folder: Path, device: str) -> dict[str, float]:
    """Search steps a second of one run, by how many processes share it."""
    return {
        str(count): steps_per_second(RunDir(folder / f"shared-{count}"), count, device, folder / "cache")
        for count in PROCESSES
    }


def device_name(device: str) -> str:
    """What the device is called."""
    import torch

    return device if device == "cpu" else torch.cuda.get_device_name(device)


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="How many runs an hour are made with 1, 2 and 4 at a time.")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hours = together(Path(folder), options.device)
        steps = shared(Path(folder), options.device) if options.device == "cpu" else {}
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "device": f"{device_name(options.device)}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "versions": {name: version(name) for name in ("torch", "transformers")} | {"python": platform.python_version()},
        "steps": {"search": STEPS, "retrain": STEPS},
        "runs_per_hour": hours,
        "steps_per_second_of_one_run_by_processes": steps,
    }
    print(f"{result['device']}: runs of {STEPS} + {STEPS} steps, one thread each")
    for count, rate in hours.items():
        print(f"{count} at a time: {rate:6.0f} runs an hour, {rate / hours['1']:.2f} times one at a time")
    for count, rate in steps.items():
        print(
            f"one run, batch {SHARED_BATCH}, {count} process(es): {rate:.2f} steps/s, {rate / steps['1']:.2f} times one"
        )
    kind = "" if options.device == "cpu" else f"-{options.device.partition(':')[0]}"
    (RESULTS / f"throughput{kind}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

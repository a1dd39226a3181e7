"""Plays the worker: `model` in the settings is what it does. With `drive` it is the command line around it.

python stand_in.py RUN_DIR                       plays one run
python stand_in.py drive FILE [--fresh] [--detach] [GLOB]...   `s3tui run FILE` with this script as the worker
python stand_in.py drive attach PATH             `s3tui attach --in PATH`, likewise
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from core.run.events import (
    Eval,
    EventWriter,
    Failed,
    Finished,
    Phase,
    SearchTaken,
    Space,
    Started,
    Step,
    StructureChosen,
)  # fmt: skip
from core.run.limit import read_limit
from core.run.methods import method_of
from core.run.rundir import RunDir, read_json, write_bytes, write_json
from core.run.searched import Searched, source_of, write_searched
from core.run.structure import Candidate, Structure

BUDGET = 9_086
BACKBONE = 22_713_216
LAYER = "encoder.layer.{}.attention.self.query"
STRUCTURE = Structure(
    tuple(Candidate("attn.q", "encoder", i, LAYER.format(i), "lora(rank=1)", 768) for i in (0, 1)),
    (0.25, 0.75), (1,), 1000, "m",
)  # fmt: skip
SEARCHED = Searched({}, (0.25, 0.75), (1,), None, 20, 30.0, "", "")
UNTIL_TOLD = 7  # steps of retraining, with which a run ends when it is told to


def play(directory: RunDir) -> int:
    spec = read_json(directory.spec)
    act = spec["model"]
    print(f"playing {act}", flush=True)
    writer = EventWriter(directory.events)
    if act == "stops-on-term":
        signal.signal(signal.SIGTERM, lambda *_: _stopped(writer))
    if act == "races":
        return race(directory, spec, writer, float(os.environ.get("STAND_IN_STEP_SECONDS", "0")))
    writer.write(Started("0", 1, os.getpid(), spec["device"], "fp32", {}))
    if act == "bad-data":
        writer.write(Failed("data", "the file has no column 'label'", "its columns are a, b"))
        return 2
    if act.startswith("says "):
        return _say(writer, act.removeprefix("says "))
    if act == "crash":
        writer.write(Failed("error", "ZeroDivisionError: division by zero", ""))
        return 1
    if act == "silent-exit":
        print("Segmentation fault, more or less", flush=True)
        return 3
    if act == "kill-self":
        print("about to be killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "second-time" and not (directory.path / "tried").exists():
        (directory.path / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "tell":
        threads = os.environ["OMP_NUM_THREADS"]
        print(
            json.dumps({"cwd": str(Path.cwd()), "leader": os.getsid(0) == os.getpid(), "threads": threads}), flush=True
        )
        print(json.dumps({"safe": os.environ["PYTHONSAFEPATH"], "input": sys.stdin.read()}), flush=True)
    if act == "with-child":
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        (directory.path / "child").write_text(str(child.pid))
        signal.pause()
    if act == "with-family":
        _family(directory)
        while not (directory.path / "go").exists():
            time.sleep(0.02)
    if act == "counts-terms":
        signal.signal(signal.SIGTERM, lambda *_: (directory.path / "terms").open("a").write("x"))
        (directory.path / "ready").touch()
        while not (directory.path / "go").exists():
            time.sleep(0.02)
    if act == "eats-memory":
        eaten = []
        while True:
            eaten.append(bytearray(2**20))
    if act in ("hang", "stops-on-term"):
        signal.pause()
    while act == "until-told" and not (directory.path / "go").exists():
        time.sleep(0.02)
    if act == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (directory.path / "deaf").touch()
        while True:
            signal.pause()
    _train(directory, writer, spec, float(os.environ.get("STAND_IN_STEP_SECONDS", "0")))
    _result(directory, spec, writer)
    return 0


def race(directory: RunDir, spec: dict, writer: EventWriter, step_seconds: float) -> int:
    """An arm of a race or a confirmation: goes on from its checkpoint, up to its limit, evaluated every 10 steps."""
    saved = directory.path / "saved"
    step, total = int(saved.read_text()) if saved.exists() else 0, spec["retrain"]["max_steps"]
    resumed = {"resumed_phase": "retrain", "resumed_step": step} if step else {}
    writer.write(Started("0", 1, os.getpid(), spec["device"], "fp32", {}, **resumed))
    score = score_in_a_race(spec)
    if not step:
        if spec["method"] == "s3" and source_of(directory) is None:
            writer.write(Phase("search", 20))
            writer.write(Step("search", 20, 1.0, 1.0, 1e-3, validation_loss=1.0, expected=9_000.0))
            write_searched(directory, SEARCHED, b"")
        write_json(directory.structure, STRUCTURE.to_json())
        writer.write(StructureChosen([0], BUDGET - 10))
    writer.write(Phase("retrain", total))
    limit = read_limit(directory)
    while step < (min(limit.steps, total) if limit else total):
        step += 1
        time.sleep(step_seconds)
        writer.write(Step("retrain", step, 1.0, 1.0, 1e-3))
        if step % 10 == 0:
            writer.write(Eval("retrain", step, "validation", {"accuracy": score(step)}, True))
            write_bytes(saved, str(step).encode())
    if spec["seed"] == 13 and step > 10:
        writer.write(Failed("diverged", "the loss is nan", ""))
        return 1
    if limit:
        writer.write(Failed("stopped", f"paused at step {step} of {total}", ""))
        return 1
    found = score(total)
    write_json(directory.result, result(spec, found, validation={"accuracy": found}))
    writer.write(Finished(found, {"accuracy": found}, 1.0))
    return 0


def score_in_a_race(spec: dict):
    """The validation score of an arm by step: arms differ at random, and their ranks change a little with time."""
    name = f"{spec['retrain']['learning_rate']} {spec['seed'] if spec['method'] != 'given' else spec['space']['name']}"
    place = random.Random(name)
    end, detour = place.random(), place.random()
    return lambda step: round((0.8 * end + 0.2 * detour / step) * step / (step + 5), 6)


def _say(writer: EventWriter, text: str) -> int:
    """Every text of a run that is shown while it goes on is `text`, for long enough to be seen."""
    writer.write(Phase(text, 100))
    writer.write(Step(text, 1, 1.0, 1.0, 1e-3))
    writer.write(Eval(text, 1, text, {text: 0.5}, True))
    time.sleep(1)
    writer.write(Failed(text, text, text))
    return 1


def _stopped(writer: EventWriter) -> None:
    writer.write(Failed("stopped", "stopped by a signal", ""))
    sys.exit(1)


def _family(directory: RunDir) -> None:
    """A child, one in a session of its own, and an orphan in a session of its own whose parent has ended."""
    nap = [sys.executable, "-c", "import signal; signal.pause()"]
    child = subprocess.Popen(nap)
    apart = subprocess.Popen(nap, start_new_session=True)
    script = f"import subprocess; print(subprocess.Popen({nap!r}, start_new_session=True, stdout=2).pid, flush=True)"
    orphan = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    (directory.path / "family.new").write_text(f"{child.pid} {apart.pid} {orphan.strip()}")
    (directory.path / "family.new").rename(directory.path / "family")


def _train(directory: RunDir, writer: EventWriter, spec: dict, step_seconds: float) -> None:
    writer.write(Space([], 2 * BUDGET, BACKBONE, 8_085, BUDGET))
    taken = source_of(directory)
    if taken is not None:
        writer.write(SearchTaken(taken.taken_from, taken.steps, taken.seconds))
    for phase, steps in (("search", 20), ("retrain", 40))[taken is not None :]:
        writer.write(Phase(phase, steps))
        for step in range(1, steps + 1):
            searching = {"validation_loss": 3.1 / step, "expected": 9_000.0 + step} if phase == "search" else {}
            writer.write(Step(phase, step, 3.0 / step, 1.0, 1e-3, **searching))
            time.sleep(step_seconds)
            if step % 10 == 0:
                writer.write(Eval(phase, step, "validation", {"accuracy": 0.01 * step, "macro_f1": 0.1}, True))
        if phase == "search":
            if method_of(spec["method"]).searches:
                write_searched(directory, SEARCHED, b"")
            writer.write(StructureChosen([0], BUDGET - 10))
    while spec.get("retrain", {}).get("max_steps") == UNTIL_TOLD and not (directory.path / "go").exists():
        time.sleep(0.02)


def _result(directory: RunDir, spec: dict, writer: EventWriter) -> None:
    score = (0.6 if spec["method"] == "s3" else 0.55) + 0.01 * spec["seed"]
    write_json(directory.structure, STRUCTURE.to_json())
    write_json(directory.result, result(spec, score))
    writer.write(Finished(score, {"accuracy": score}, 1.0))


def result(spec: dict, score: float, **changes: object) -> dict:
    """What a worker leaves as `result.json`."""
    return {
        "score": score, "metric": "accuracy", "metrics": {"accuracy": score}, "validation": {},
        "task": spec["task"].get("name") or spec["task"]["path"], "model": spec["model"], "method": spec["method"], "budget": BUDGET,
        "parameters": BUDGET - 10, "head_parameters": 8_085, "backbone_parameters": BACKBONE,
        "seconds": {"search": 30.0, "retrain": 53.0, "total": 83.0}, "seed": spec["seed"], "spec": "0", "versions": {},
    } | changes  # fmt: skip


def drive(arguments: list[str]) -> int:
    from s3tui.cli.commands import suite
    from s3tui.cli.diagnostics import guarded
    from s3tui.scheduling.dispatcher import Settings

    what, *rest = arguments
    globs = [a for a in rest if not a.startswith("--")]
    settings = Settings((sys.executable, str(Path(__file__).resolve())), float(os.environ.get("GRACE", "60")), 0.1)
    if what == "attach":
        run = partial(suite.attach, Path(rest[0]), settings)
    else:
        asks = "--asks" in rest
        run = partial(suite.run, Path(what), globs, "--fresh" in rest, "--detach" in rest, settings, yes=not asks)
    return guarded(lambda: sys.exit(run()))


if __name__ == "__main__":
    sys.exit(drive(sys.argv[2:]) if sys.argv[1] == "drive" else play(RunDir(Path(sys.argv[1]))))

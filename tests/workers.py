"""Real worker processes, forked from one that has imported everything, as the imports alone take seconds."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from support import run_spec

from core.run.events import Eval, Event, EventReader, Gates, Phase, Step, read_events
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec

DEADLINE = 120.0  # seconds; what is waited for takes a few at most
POLL = 0.001  # seconds

STEPS = 24  # of each phase
EVAL_EVERY = 6
METHODS = {"s3": 300, "random": 300, "fixed": 300, "full": None}

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "core.worker.execute",
        "sklearn.metrics",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
        "transformers.models.bert.modeling_bert",
        "transformers.models.t5.modeling_t5",
    ]
)


def _work(path: str, largest_file: int | None, user: int | None, processes: int) -> None:
    """What `python -m core [--processes N] RUN_DIR >> log.txt 2>&1` does, after its imports."""
    from core.__main__ import main

    log = os.open(RunDir(Path(path)).log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if user is not None:
        os.setuid(user)
    sys.exit(main([path] if processes == 1 else ["--processes", str(processes), path]))


class Worker:
    """A worker under way; `events` are those that its run has told so far, over all attempts."""

    def __init__(
        self, run: RunDir, largest_file: int | None = None, user: int | None = None, processes: int = 1
    ) -> None:
        self._run = run
        self._reader, self.events = EventReader(run.events), list[Event]()
        self.process = CONTEXT.Process(target=_work, args=(str(run.path), largest_file, user, processes))
        self.process.start()

    def until(self, condition: Callable[[Worker], bool]) -> bool:
        """Wait until a condition holds; False where the worker ended before."""
        deadline = time.monotonic() + DEADLINE
        while not wait([self.process.sentinel], POLL):
            self.events += self._reader.poll()
            if condition(self):
                return True
            assert time.monotonic() < deadline, "nothing happens any more"
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the worker has ended meanwhile."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def end(self) -> int:
        """Wait for its end; gives the exit code, negative for a signal."""
        self.process.join(DEADLINE)
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def size(self) -> int:
        """Bytes in the event file."""
        return self._run.events.stat().st_size

    def is_writing_checkpoint(self) -> bool:
        """Whether half a checkpoint is on the disk."""
        with contextlib.suppress(FileNotFoundError):
            return any(name.startswith(".") for name in os.listdir(self._run.checkpoint))  # noqa: PTH208
        return False


def make_spec(root: Path, family: str = "bert", method: str = "s3", every: int = 5, precision: str = "fp32") -> RunSpec:
    """Texts are evaluated one by one, so that an evaluation takes as long as several steps."""
    length = {"max_steps": STEPS, "eval_every": EVAL_EVERY}
    return run_spec(
        root / family, root / "reviews.jsonl", method=method, budget=METHODS[method], checkpoint_every=every,
        eval_batch_size=1, precision=precision, search=length, retrain=length,
    )  # fmt: skip


def has_reached(worker: Worker, phase: str, step: int) -> bool:
    return any(isinstance(e, Step) and (e.phase, e.step) == (phase, step) for e in reversed(worker.events))


def kill_at(run: RunDir, conditions: Iterable[Callable[[Worker], bool]]) -> int:
    """Start the worker again and again, and kill it when each condition holds; gives the number of kills."""
    kills = 0
    for condition in conditions:
        worker = Worker(run)
        if worker.until(condition):
            worker.send(signal.SIGKILL)
        kills += worker.end() == -signal.SIGKILL
    return kills


def grows_by(count: int) -> Callable[[Worker], bool]:
    """A condition: the event file is so many bytes longer than when the condition was first asked for."""
    start: list[int] = []

    def condition(worker: Worker) -> bool:
        start.append(worker.size) if not start else None
        return worker.size >= start[0] + count

    return condition


def is_evaluating(worker: Worker) -> bool:
    """Whether the last event is that after which an evaluation begins."""
    event = worker.events[-1]
    return (isinstance(event, Step | Gates) and event.step % EVAL_EVERY == 0) or isinstance(event, Phase)


def moments(place: random.Random, phases: tuple[str, ...]) -> Iterator[Callable[[Worker], bool]]:
    """When to kill: seven times in each phase, at random, in evaluations, and while a checkpoint is written."""
    for phase in phases:
        for i, step in enumerate(sorted(place.sample(range(1, STEPS), 7))):
            what = (grows_by(place.randrange(1, 1500)), Worker.is_writing_checkpoint, is_evaluating)[i % 3]
            yield lambda worker, phase=phase, step=step, what=what: has_reached(worker, phase, step) and what(worker)


def attempt(run: RunDir, largest_file: int | None = None, user: int | None = None, processes: int = 1) -> int:
    """One attempt from its start to its end, perhaps on a full disk or as another user; gives the exit code."""
    return Worker(run, largest_file, user, processes).end()


def checkpoint_files(run: RunDir) -> dict[tuple[str, int], Path]:
    """The checkpoints of a run by phase and step, as their names tell, in the order in which they were written."""
    paths = [path for phase in ("search", "retrain") for path in sorted(run.checkpoint.glob(f"{phase}-*.safetensors"))]
    return {(phase, int(step)): path for path in paths for phase, step in [path.stem.split("-")]}


def outcome(run: RunDir) -> dict[str, Any]:
    """All that must be the same however often a run was interrupted: what it learned, found and told, but for times."""
    result = {k: v for k, v in read_json(run.result).items() if k != "seconds"}
    summary = {k: v for k, v in read_json(run.summary).items() if k not in ("seconds", "updated")}
    return {
        "structure": run.structure.read_bytes(),
        "delta": run.delta.read_bytes(),
        "result": result,
        "summary": summary,
        "told": told(run),
    }


def told(run: RunDir) -> dict[tuple[object, ...], Event]:
    """Steps and evaluations with the p that they saw. What several attempts told has to be the same each time."""
    events: dict[tuple[object, ...], Event] = {}
    gates: Event | None = None
    for event in read_events(run.events)[0]:
        fields = vars(event) | {"seq": -1, "t": 0.0}
        if isinstance(event, Gates):
            gates = Gates(**fields)
        if isinstance(event, Step | Eval):
            key = (event.type, event.phase, event.step)
            assert events.setdefault(key, type(event)(**fields)) == type(event)(**fields)
        if isinstance(event, Eval) and event.phase == "search":
            assert gates is not None
            assert events.setdefault(("gates", event.step), gates) == gates
    return events

"""A workspace whose runs have the history that a test wants: real files, and for those that live real processes."""

import json
import math
import signal
import sys
from pathlib import Path

from processes import wait_until

from core.run.events import (
    Eval,
    EventWriter,
    Failed,
    Finished,
    Gates,
    Phase,
    Space,
    Started,
    Step,
    StructureChosen,
)  # fmt: skip
from core.run.rundir import write_json
from core.run.selection import select
from core.run.spaces import library_space
from core.run.spec import RunSpec
from core.run.structure import Candidate, Structure
from s3tui.devices.placement import Place
from s3tui.launchers.start_supervisor import start_supervisor
from s3tui.runs.records.queue import Queue
from s3tui.runs.workspace import Workspace

BACKBONE, BUDGET = 22_713_216, 600
BEGAN = 1_790_000_000.0  # when all scripted runs began; their steps are a second apart
SLEEPER = (sys.executable, "-S", "-c", "import signal; signal.pause()")


def candidates(layers=6):
    """LoRA and BitFit on attention and feed-forward, LNFit on a norm, in every layer of an encoder."""
    kinds = [
        ("attn.q", "lora(rank=1)", 60), ("attn.v", "lora(rank=1)", 60), ("attn.q", "bitfit", 30),
        ("ffn.in", "bitfit", 90), ("norm.attn", "lnfit", 30),
    ]  # fmt: skip
    return tuple(
        Candidate(site, "encoder", layer, f"encoder.{layer}.{site}", delta, parameters)
        for layer in range(layers)
        for site, delta, parameters in kinds
    )


def p_at(step, steps, space):
    """Probabilities that leave even odds for the later layers as the search goes on; BitFit is ahead at first."""
    share = step / steps
    late = [3.0 * ((c.layer or 0) / 5 - 0.6) + (0.8 if "lora" in c.delta else 0) for c in space]
    early = [1.0 if c.delta == "bitfit" else 0.0 for c in space]
    logits = [-1.0 + share * b + (1 - share) * a for a, b in zip(early, late, strict=True)]
    return [round(1 / (1 + math.exp(-value)), 6) for value in logits]


class Clock:
    def __init__(self):
        self.now = BEGAN

    def __call__(self):
        return self.now


class Script:
    """Writes runs into a workspace. `close` ends those that live."""

    def __init__(self, path: Path):
        self.workspace = Workspace(path)
        path.mkdir(parents=True, exist_ok=True)
        self.workspace.make()
        self._children, self._writers = {}, {}

    def spec(self, **changes):
        settings = {
            "model": "builtin:minilm",
            "task": {"name": "icd10-chapter"},
            "space": library_space("mix-low-rank"),
            "budget": BUDGET,
        }
        return RunSpec.model_validate(settings | changes).model_dump(mode="json")

    def queued(self, name, wanted="queued", **changes):
        """A run that waits; with wanted="held" one that is paused."""
        directory = self.workspace.run(name)
        directory.create(self.spec(**changes))
        reason = "stopped on demand" if wanted == "held" else ""
        write_json(directory.queue, Queue(wanted=wanted, reason=reason, submitted=BEGAN).to_json())
        return directory

    def finished(self, name, steps=40, score=0.7, log=("loading", "searching", "done"), layers=6, **changes):
        """A search that found its structure and was retrained."""
        directory = self.queued(name, **changes)
        clock = Clock()
        writer = EventWriter(directory.events, clock)
        space = candidates(layers)
        chosen = self.search(writer, clock, space, steps, steps)
        self.retrain(writer, clock, space, chosen, steps, score)
        p = p_at(steps, steps, space)
        write_json(directory.structure, Structure(space, tuple(p), chosen, BUDGET, "builtin:minilm").to_json())
        trained = sum(space[i].parameters for i in chosen)
        spec = json.loads(directory.spec.read_text())
        result = {
            "score": score, "metric": "accuracy", "metrics": {"accuracy": score}, "validation": {},
            "task": spec["task"]["name"], "model": spec["model"], "method": spec["method"], "budget": BUDGET,
            "parameters": trained, "head_parameters": 8085, "backbone_parameters": BACKBONE,
            "seconds": {"search": 40.0, "retrain": 40.0, "total": 2.0 * steps}, "seed": spec["seed"], "spec": "0",
            "versions": {},
        }  # fmt: skip
        write_json(directory.result, result)
        summary = {"v": 1, "status": "finished", "phase": "test", "step": steps, "total": steps, "score": score,
                   "best": score - 0.01, "train_loss": 0.5, "seconds": 2.0 * steps}  # fmt: skip
        write_json(directory.summary, summary)
        directory.log.write_text("\n".join(log) + "\n")
        writer.write(Finished(score, {"accuracy": score}, 2.0 * steps))
        writer.close()
        return directory

    def search(self, writer, clock, space, until, steps):
        """The events of a search up to a step; what would be selected then."""
        parameters = [c.parameters for c in space]
        writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
        writer.write(Space([vars(c) for c in space], sum(parameters), BACKBONE, 8085, BUDGET))
        writer.write(Phase("search", steps))
        chosen = ()
        for step in range(1, until + 1):
            clock.now += 1
            chosen = self.step(writer, space, step, steps)
            if step % 10 == 0:
                writer.write(Eval("search", step, "validation", {"accuracy": 0.3 + 0.3 * step / steps}, True))
        return chosen

    def step(self, writer, space, step, steps):
        """One step of a search with its gates."""
        p, parameters = p_at(step, steps, space), [c.parameters for c in space]
        chosen = select(p, parameters, BUDGET, "first-fit")
        expected = sum(a * b for a, b in zip(p, parameters, strict=True))
        writer.write(
            Step(
                "search", step, 3.0 / math.sqrt(step), 1.0 + 1 / step, 1e-3 * step / steps,
                validation_loss=3.2 / math.sqrt(step), alpha_gradient_norm=0.1, alpha_learning_rate=0.1,
                expected=expected, sampled=1.1 * expected, selected=sum(parameters[i] for i in chosen), shift=0.2,
            )
        )  # fmt: skip
        writer.write(Gates(step, p))
        return chosen

    def retrain(self, writer, clock, space, chosen, steps, score):
        writer.write(StructureChosen(list(chosen), sum(space[i].parameters for i in chosen)))
        writer.write(Phase("retrain", steps))
        for step in range(1, steps + 1):
            clock.now += 1
            writer.write(Step("retrain", step, 2.0 / math.sqrt(step), 1.0, 1e-3))
            if step % 20 == 0:
                writer.write(Eval("retrain", step, "validation", {"accuracy": score - 0.01}, True))
        writer.write(Phase("test", 0))
        writer.write(Eval("test", 0, "test", {"accuracy": score}, True))

    def failed(self, name, message="the loss is not finite", **changes):
        directory = self.queued(name, "held", **changes)
        writer = EventWriter(directory.events, Clock())
        writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
        writer.write(Failed("diverged", message, "lower the learning rates"))
        writer.close()
        process = {"pid": 2**22 + 1, "start": 1, "boot": "another"}
        write_json(
            directory.process,
            {"worker": process, "supervisor": process, "host": "elsewhere", "where": "1 core", "started": BEGAN,
             "grace": 60.0, "log_start": 0, "events_start": 0},
        )  # fmt: skip
        return directory

    def damaged(self, name):
        directory = self.queued(name)
        directory.spec.write_text("{ this is")
        return directory

    def living(self, name, until=12, steps=40, **changes):
        """A run whose worker only sleeps; its events are in the hands of the test (`advance`)."""
        directory = self.queued(name, **changes)
        self._children[name] = start_supervisor(directory, Place(1), "cpu", (), SLEEPER)
        wait_until(directory.process.exists)
        clock = Clock()
        writer = EventWriter(directory.events, clock)
        self._writers[name] = (writer, clock, until, steps)
        self.search(writer, clock, candidates(), until, steps)
        return directory

    def advance(self, name, by=1):
        """Let a living run take more steps."""
        writer, clock, at, steps = self._writers[name]
        for step in range(at + 1, at + by + 1):
            clock.now += 1
            self.step(writer, candidates(), step, steps)
        self._writers[name] = (writer, clock, at + by, steps)

    def end(self, name):
        """Kill the worker of a living run, as the kernel would."""
        child = self._children.pop(name)
        child.send_signal(signal.SIGINT)
        child.wait()

    def close(self):
        for name in list(self._children):
            self.end(name)
        for writer, *_ in self._writers.values():
            writer.close()

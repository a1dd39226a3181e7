"""Runs whose files hold escape sequences in every text, found by walking through the files."""

import json
import shutil
from pathlib import Path

from core.run.events import (
    TYPES,
    Checkpoint,
    EndedEarly,
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
from s3tui.runs.records.slurm_job import Job, write_job
from s3tui.runs.workspace import read_run

# OSC 52 (the clipboard), colours that hide, clearing, DCS; the same in C1; bidirectional controls, line ends, a lone
# surrogate and what no XML may hold. It begins and ends as any word, and has marks of HTML, Markdown and formulas too.
HOSTILE = (
    "h\x1b]52;c;aGk=\x07\x1b[8m\x1b[2J\x1bP1$qm\x1b\\\x9b31m\x9d0;t\x9c\x1b(0\x0e\u202e\u2066\u200f\u2028\u2029\x00\x08"
    "\r\n\t\x85\x7f\ud800\uffff<script>`$x_{$|[a](b)&\x1bz"
)
NAMES = (HOSTILE.replace("\x00", "").replace("\ud800", "\udcff").replace("/", ""), "_x", "cost$_{US$", "-o", "# a")
RECORDS = ("spec.json", "queue.json", "process.json", "exit.json", "slurm.json", "result.json", "summary.json",
           "structure.json", "mirror/tensorboard.json")  # fmt: skip


def write_events(script, directory):
    """One event of every type."""
    writer = EventWriter(directory.events)
    candidates = [vars(c) for c in json_candidates(directory)]
    by_type = {
        "started": Started("0", 1, 1, "cpu", "fp32", {"torch": "2"}), "space": Space(candidates, 1000, 9000, 10, 600),
        "phase": Phase("search", 2), "step": Step("search", 1, 2.0, 1.0, 1e-3, validation_loss=1.0, expected=5.0),
        "gates": Gates(1, [0.5] * len(candidates)), "eval": Eval("search", 1, "validation", {"accuracy": 0.5}, True),
        "ended-early": EndedEarly("search", 1, "why not"), "structure": StructureChosen([0], 60),
        "checkpoint": Checkpoint("search", 1), "failed": Failed("diverged", "the loss", "a hint"),
        "finished": Finished(0.5, {"accuracy": 0.5}, 1.0),
    }  # fmt: skip
    assert by_type.keys() == TYPES.keys(), "a new type of event belongs in here"
    retrained = [
        Phase("retrain", 2), Step("retrain", 1, 2.0, 1.0, 1e-3), Step("retrain", 2, 1.5, 1.0, 1e-3),
        Eval("retrain", 2, "validation", {"accuracy": 0.5}, True),
    ]  # fmt: skip
    second = Step("search", 2, 1.0, 1.0, 1e-3, validation_loss=1.0, expected=5.0)
    more = [by_type["gates"], second, Gates(2, [0.25] * len(candidates))]
    order = [e for e in by_type.values() if e.type not in ("failed", "finished", "structure")]
    for event in (*order, *more, by_type["structure"], *retrained, by_type["failed"], by_type["finished"]):
        writer.write(event)
    writer.close()


def json_candidates(directory):
    from core.run.structure import Structure

    return Structure.from_json(json.loads(directory.structure.read_text())).candidates[:4]


def leaves(data, path=()):
    """The place of every text in some JSON; of a list, those of its first two parts."""
    if isinstance(data, str):
        yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data[:2]):
            yield from leaves(value, (*path, number))


def tables(data, path=()):
    """The place of every key of the tables that lie in some JSON."""
    if isinstance(data, dict):
        for key, value in data.items():
            if path:
                yield (*path, key)
            yield from tables(value, (*path, key))


def with_text(data, path, text=HOSTILE):
    """A copy with another text at a place."""
    copy = json.loads(json.dumps(data))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = text
    return copy


def with_key(data, path):
    """A copy with another key at a place."""
    copy = json.loads(json.dumps(data))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[HOSTILE] = inner.pop(path[-1])
    return copy


class Hostile:
    """A workspace of such runs, made from one plain run in each state."""

    def __init__(self, script):
        self.script, self.workspace = script, script.workspace
        self.number = 0

    def plain(self):
        """One run for each state in which other texts are shown."""
        finished = self.script.finished("plain/finished", steps=2, layers=2)
        finished.events.unlink()
        write_events(self.script, finished)
        dead = {"pid": 2**22 + 1, "start": 1, "boot": "another"}
        process = {"v": 1, "worker": dead, "supervisor": dead, "host": "elsewhere", "where": "1 core", "started": 1.0,
                   "grace": 60.0, "log_start": 0, "events_start": 0, "job": ""}  # fmt: skip
        write_json(finished.process, process)
        write_json(
            finished.exit,
            {"v": 1, "worker": dead, "code": 1, "signal": "SIGKILL", "out_of_memory": False, "asked": "",
             "seconds": 1.0, "peak_memory_bytes": 1, "gpu_joules": 1.0, "ended": 1.0},
        )  # fmt: skip
        finished.mirror.mkdir()
        write_json(finished.mirror / "tensorboard.json", {"v": 1, "known_as": "x", "seq": 1})
        queue = json.loads(finished.queue.read_text())
        write_json(finished.queue, queue | {"tags": ["one"], "log_to": ["mlflow"], "failure": "f", "reason": "why"})
        summary = json.loads(finished.summary.read_text())
        write_json(finished.summary, summary | {"ended_early": {"search": "why"}, "error": "e"})
        for state in ("failed", "held", "cancelled", "waiting", "dead"):
            there = self._copy(finished, f"plain/{state}", ("result.json", "slurm.json"))
            wanted = {"held": "held", "cancelled": "cancelled"}.get(state, "queued")
            write_json(there.queue, queue | {"wanted": wanted, "reason": "why", "tags": ["one"], "failure": "f"})
            if state in ("held", "waiting"):
                there.process.unlink()
                there.exit.unlink()
            lines = there.events.read_text().splitlines()
            ends = {"finished"} if state == "failed" else {"finished", "failed"}
            kept = [line for line in lines if json.loads(line)["type"] not in ends]
            there.events.unlink()
            there.events.write_text("\n".join(kept) + "\n")
        job = self._copy(finished, "plain/in-slurm", ("result.json", "process.json", "exit.json"))
        write_job(job, Job("b", 0, "1_0", "RUNNING", "None", "node", "0:0"))
        return [name for name in self.workspace.names() if name.startswith("plain/")]

    def _copy(self, directory, name, without=()):
        there = self.workspace.run(name)
        there.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(directory.path, there.path, ignore=shutil.ignore_patterns(*without))
        return there

    def mutated(self, name):
        """A run for every text and every key of the files of a plain one; gives their names."""
        plain = self.workspace.run(name)
        for record in RECORDS:
            if (plain.path / record).exists():
                data = json.loads((plain.path / record).read_text())
                for change, places in ((with_text, leaves(data)), (with_key, tables(data))):
                    for place in places:
                        yield self._with(plain, record, json.dumps(change(data, place)))
        yield from self._events(plain)
        yield self._with(plain, "log.txt", HOSTILE.encode("utf-8", "surrogatepass"))

    def _events(self, plain):
        lines, seen = plain.events.read_text().splitlines(), set()
        for number, line in enumerate(lines):
            data = json.loads(line)
            if data["type"] not in seen:
                seen.add(data["type"])
                for change, places in ((with_text, leaves(data)), (with_key, tables(data))):
                    for place in places:
                        changed = [*lines[:number], json.dumps(change(data, place)), *lines[number + 1 :]]
                        yield self._with(plain, "events.jsonl", "\n".join(changed) + "\n")

    def _with(self, plain, file, content):
        self.number += 1
        there = self._copy(plain, f"mutated/{plain.path.name}-{self.number}", (Path(file).name,))
        path = there.path / file
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"mutated/{there.path.name}"

    def worst(self, name, as_name):
        """A copy of a plain run with all texts hostile that leave it in its state."""
        plain = self.workspace.run(name)
        there = self._copy(plain, as_name)
        for record in RECORDS:
            if (plain.path / record).exists():
                self._worsen(plain, there, name, there.path / record)
        lines = []
        for line in plain.events.read_text().splitlines():
            data = json.loads(line)
            for place in leaves(data):
                if place != ("type",) and place != ("phase",) and place != ("split",):
                    data = with_text(data, place)
            lines.append(json.dumps(data))
        there.events.write_text("\n".join(lines) + "\n")
        there.log.write_bytes(HOSTILE.encode("utf-8", "surrogatepass") * 3)
        return as_name

    def _worsen(self, plain, there, name, path):
        data = json.loads(path.read_text())
        state = read_run(plain, name).status.name
        for change, places in ((with_text, list(leaves(data))), (with_key, list(tables(data)))):
            for place in places:
                before = path.read_bytes()
                try:
                    changed = change(data, place)
                except (KeyError, TypeError):
                    continue  # a key above it has another name by now
                path.write_text(json.dumps(changed))
                if read_run(there, name).status.name == state:
                    data = changed
                else:
                    path.write_bytes(before)

"""Collects finished runs into small files, from which the tables of the docs are drawn.

    python benchmarks/collect.py RUNS...

RUNS are workspaces, or suites in them. What their runs scored, cost and chose is merged into one file a task,
`benchmarks/results/proof/TASK.json`, or `TASK-MODEL.json` of another model than the default suite's. A run that is
there already is replaced, every other one stays, so that evidence of many days adds up. `benchmarks/tables.py` draws
from these files alone.

    {"task", "metric", "constant",            constant: the score of the most frequent answer, or of the mean
     "spaces": {digest: {"name", "groups", "candidates"}},
     "arms": {digest: {"model", "method", "space", "settings"}},       what a run is, but for its task and its seed
     "runs": [{"arm", "seed", "validation", "test", "curve", "seconds", "selected", "p", ...}]}

`cpu_seconds` and `peak_memory_bytes` are those of the worker, of runs that one worker did from start to end.

`settings` are the keys that differ from `USUAL`, by dotted names, without those that the method does not read;
`curve` holds [phase, step, score on validation]; `selected` and `p` are by the order of the space's candidates.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.run.events import Eval, Event, EventReader, Started
from core.run.methods import method_of
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from core.run.structure import Structure
from s3tui.runs.records.process import read_exit

RESULTS = Path(__file__).parent / "results" / "proof"
MODEL = "builtin:minilm"  # of the default suite
# What does not make another arm.
APART = {"model", "task", "space", "method", "seed", "device", "checkpoint_every", "precision"}
# The defaults from which arms are told, those of the first day: an arm keeps its name when a default changes.
RATES = {"learning_rate": 3e-4, "warmup_steps": 0}
USUAL = {
    "model": "m",
    "task": {"name": "rte"},
    "method": "full",
    "search": RATES,
    "retrain": {"start": "scratch"} | RATES,
}
Table = dict[str, Any]


def name_of(task: str, model: str) -> str:
    """The name of the table of a task for a model."""
    return task if model == MODEL else f"{task}-{model.removeprefix('builtin:').replace('/', '-')}"


def digest(value: Any) -> str:
    """A short name for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


def flat(table: Mapping[str, Any], prefix: str = "") -> Table:
    """Nested tables as one, with dotted keys."""
    pairs: Table = {}
    for key, value in table.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return pairs


def settings_of(spec: RunSpec) -> Table:
    """The keys that the method reads and that differ from their defaults."""
    method = method_of(spec.method)
    unread = {"bipeft", "saliency", "fixed", "peft"} - {method.settings}
    unread |= set() if method.searches else {"search"}
    default = RunSpec.model_validate(USUAL | {"space": spec.space})
    mine, usual = (flat(s.model_dump(mode="json", exclude=APART | unread)) for s in (spec, default))
    of_task = spec.task.model_dump(exclude={"name", "data_root", "path"}, exclude_defaults=True, mode="json")
    return {key: value for key, value in mine.items() if value != usual[key]} | flat(of_task, "task.")


def curve_of(events: Sequence[Event], metric: str) -> tuple[list[Any], str]:
    """The scores on validation by phase and step, and the day of the start."""
    curve: list[Any] = []
    day = ""
    for event in events:
        if isinstance(event, Started):
            day = day or datetime.datetime.fromtimestamp(event.t, datetime.UTC).date().isoformat()
        if isinstance(event, Eval) and event.split == "validation":
            curve.append([event.phase, event.step, round(event.metrics[metric], 5)])
    return curve, day


def used_by(run: RunDir, events: Sequence[Event]) -> Table:
    """What the worker of a run used, if there was one alone."""
    if sum(isinstance(event, Started) for event in events) != 1 or (end := read_exit(run)) is None:
        return {}
    used = {"cpu_seconds": end.cpu_seconds and round(end.cpu_seconds), "peak_memory_bytes": end.peak_memory_bytes}
    return {key: value for key, value in used.items() if value is not None}


def row_of(run: RunDir, result: Table, spec: RunSpec, structure: Structure | None) -> Table:
    """What a run scored, cost and chose; `structure` is what was chosen from a space."""
    events = EventReader(run.events).poll()
    curve, day = curve_of(events, result["metric"])
    row = {
        "seed": spec.seed, "precision": result["precision"], "day": day,
        "validation": round(result["validation"][result["metric"]], 5), "test": round(result["score"], 5),
        "trained": result["parameters"], "seconds": {k: round(v) for k, v in result["seconds"].items()},
        "curve": curve,
    } | used_by(run, events)  # fmt: skip
    if structure is not None:
        row["selected"] = list(structure.selected)
        row |= {"p": [round(p, 3) for p in structure.p]} if method_of(spec.method).searches else {}
    return row


def space_of(spec: RunSpec, structure: Structure | None) -> Table:
    """A space and the names of its candidates, which a row refers to by number."""
    names = [c.name for c in structure.candidates] if structure is not None else []
    return {"name": spec.space.name, "groups": spec.space.model_dump(mode="json")["groups"], "candidates": names}


def chosen(run: RunDir, spec: RunSpec) -> Structure | None:
    """The structure that a run chose from its space; None for methods that choose none."""
    is_chosen = method_of(spec.method).space == "chosen" and run.structure.is_file()
    return Structure.from_json(read_json(run.structure)) if is_chosen else None


def add(tasks: dict[str, Table], run: RunDir) -> None:
    """Merge a run into the tables."""
    result, spec = read_json(run.path / "result.json"), RunSpec.of_file(read_json(run.spec))
    structure = chosen(run, spec)
    name = name_of(result["task"], spec.model)
    table = tasks.setdefault(name, {"task": name, "spaces": {}, "arms": {}, "runs": []})
    table |= {"metric": result["metric"], "constant": round(result["constant"][result["metric"]], 5)}
    table |= {"splits": result["splits"]}
    space = space_of(spec, structure)
    known = digest(space["groups"])
    if space["candidates"] or known not in table["spaces"]:
        table["spaces"][known] = space
    arm = {"model": spec.model, "method": spec.method, "space": known, "settings": settings_of(spec)}
    short = digest(arm)
    table["arms"][short] = arm
    row = {"arm": short} | row_of(run, result, spec, structure)
    same = ("arm", "seed", "precision")
    table["runs"] = [old for old in table["runs"] if any(old[key] != row[key] for key in same)] + [row]


def read_tables() -> dict[str, Table]:
    """What is kept, by task."""
    return {table["task"]: table for table in (json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json")))}


def text_of(table: Table) -> str:
    """A file with a run or an arm a line, so that differences can be read."""

    def lines(values: Iterator[str]) -> str:
        return ",\n  ".join(values)

    arms = lines(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(table["arms"].items()))
    spaces = lines(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(table["spaces"].items()))
    rows = sorted(table["runs"], key=lambda row: (row["arm"], row["precision"], row["seed"]))
    runs = lines(json.dumps(row) for row in rows)
    head = {k: v for k, v in table.items() if k not in ("arms", "spaces", "runs")}
    return (
        json.dumps(head)[:-1]
        + f',\n "spaces": {{\n  {spaces}\n }},\n "arms": {{\n  {arms}\n }},\n "runs": [\n  {runs}\n ]\n}}\n'
    )


def main() -> None:
    """Merge the finished runs of some folders."""
    parser = argparse.ArgumentParser(description="Collects finished runs into benchmarks/results/proof.")
    parser.add_argument("runs", nargs="+", type=Path)
    folders = parser.parse_args().runs
    tasks, count = read_tables(), 0
    for folder in folders:
        for found in sorted(folder.rglob("result.json")):
            add(tasks, RunDir(found.parent))
            count += 1
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, table in tasks.items():
        (RESULTS / f"{name}.json").write_text(text_of(table))
    print(f"{count} runs, {len(tasks)} tasks")


if __name__ == "__main__":
    main()

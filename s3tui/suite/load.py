"""From a TOML file to the runs that it plans. Every problem of a file is reported at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from core.run.errors import SpecError
from core.run.given import awaited
from core.run.methods import GIVEN
from core.run.rundir import RunDir
from core.run.spec import PRESETS, RunSpec
from s3tui.runs.records.launch import Launch
from s3tui.runs.records.queue import Queue
from s3tui.runs.workspace import Workspace
from s3tui.structures.run_reference import References
from s3tui.suite import launcher_settings as launchers
from s3tui.suite import matrix, queue_settings
from s3tui.suite.layers import Defaults, Layers, Table
from s3tui.suite.resolve_names import ANY_SPACE, ANY_TASK, NO_STRUCTURE, Resolver, absolute, own_spaces
from s3tui.suite.validate import TABLES, Loc, check
from s3tui.text.problems import Key, Problems
from s3tui.text.toml_file import read_toml

NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._=,+-]{1,200}")
TOP = ("suite", "defaults", "experiment", "space", "launcher")
NAME_RULE = "a name has letters, digits and ._=,+- only, starts with no dot and has no two dots in a row"


@dataclass(frozen=True)
class PlannedRun:
    """One run that a file asks for; the name is `EXPERIMENT` or `EXPERIMENT/seed=1,budget=0.0004`.

    `queue` is what it wants of the manager, which does not define the run.
    """

    name: str
    spec: RunSpec
    queue: Queue


@dataclass(frozen=True)
class Suite:
    """What a TOML file asks for: runs, and where they go."""

    name: str
    workspace: Path
    runs: tuple[PlannedRun, ...]

    @property
    def folder(self) -> Path:
        """The folder that holds the runs of this suite."""
        return self.workspace / self.name

    def directory(self, run: PlannedRun) -> RunDir:
        """Where a run of this suite lives."""
        return RunDir(self.folder / run.name)


def load(file: Path) -> Suite:
    """Read a suite; raises ConfigError with every problem of the file."""
    document = read_toml(file)
    folder = file.resolve().parent
    problems = Problems(str(file))
    problems.unknown_keys((), document, TOP)
    tables = {name: _table(document, (name,), problems) for name in TOP}
    name, workspace = _suite(tables["suite"], folder, file.stem, problems)
    planned = _planned_names(tables["experiment"])
    if len(planned) > matrix.MOST_RUNS:
        problems.add(("experiment",), f"these are more than {matrix.MOST_RUNS:,} runs, the most that a suite may have")
        problems.raise_any()
    references = References(Workspace(workspace), name, planned)
    resolver = Resolver(folder, own_spaces(tables["space"], problems), references)
    shared = queue_settings.shared(tables["suite"], problems)
    runs = tuple(_runs(tables["defaults"], tables["experiment"], tables["launcher"], resolver, shared, problems))
    _check_order(name, runs, problems)
    problems.raise_any()
    return Suite(name, workspace, runs)


def _table(parent: Table, key: Key, problems: Problems) -> Table:
    """The table at the end of `key`, empty where there is none."""
    value = parent.get(str(key[-1]), {})
    if not isinstance(value, dict):
        problems.add(key, "should be a table")
        return {}
    return value


def _suite(table: Table, folder: Path, stem: str, problems: Problems) -> tuple[str, Path]:
    """Name and workspace; they default to the file's name and `runs`."""
    problems.unknown_keys(("suite",), table, ("name", "workspace", *queue_settings.SUITE_KEYS))
    name = table.get("name", stem)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        problems.add(("suite", "name"), f"{name!r} cannot name a folder, {NAME_RULE}")
    return str(name), _workspace(table.get("workspace", "runs"), folder, problems)


def _workspace(value: Any, folder: Path, problems: Problems) -> Path:
    try:
        if isinstance(value, str) and value:
            return absolute(folder, value)
        problems.add(("suite", "workspace"), "should be the path of a folder, in quotes")
    except SpecError as error:
        problems.add(("suite", "workspace"), str(error))
    return folder


def _runs(
    defaults: Table,
    experiments: Table,
    launcher: Table,
    resolver: Resolver,
    suite: queue_settings.Shared,
    problems: Problems,
) -> Iterator[PlannedRun]:
    """The runs of every experiment; what is wrong with them is noted."""
    if not experiments:
        problems.add(("experiment",), "there is no experiment; add one, as in [experiment.first]")
    defaults = _settings(defaults, ("defaults",), problems)
    tables = {n: _table(experiments, ("experiment", n), problems) for n in experiments}
    wanted, defaults = _apart(defaults)
    queue_settings.queue(wanted, ("defaults",), suite, problems)
    launchers.launch(launcher, ("launcher",), problems)
    shared = _shared(defaults, tables)
    seen: dict[str, str] = {}
    for name, table in tables.items():
        if not NAME.fullmatch(name):
            problems.add(("experiment", name), f"cannot name a folder, {NAME_RULE}")
        table = _settings(table, ("experiment", name), problems, "matrix", "launcher")
        own, table = _apart(table)
        launch = _launch(launcher, table.pop("launcher", {}), ("experiment", name, "launcher"), problems)
        _check_given(name, table, problems)
        # Faults of the defaults were told above, at their own key.
        queue_settings.queue(own, ("experiment", name), suite, problems)
        queue = queue_settings.queue(_merged(wanted, own), (), suite, Problems(""))
        for run_name, spec in _experiment(name, table, shared, resolver, problems):
            if (queue.resources.gpus or 0) > 1 and spec.device not in ("auto", "cuda"):
                reason = f'{queue.resources.gpus} GPUs need device = "auto" or "cuda", not {spec.device!r}'
                problems.add(("experiment", name, "resources", "gpus"), reason)
            run = PlannedRun(run_name, spec, replace(queue, device=spec.device, order=len(seen), launch=launch))
            other = seen.setdefault(run.spec.digest(), run.name)
            if other != run.name:
                problems.add(("experiment", name), f"{run.name} is the same run as {other}")
            yield run


def _launch(shared: Table, own: Any, key: Key, problems: Problems) -> Launch:
    """Where the runs of an experiment are started: as the suite says, but for what its own table says."""
    if not isinstance(own, dict):
        problems.add(key, "should be a table")
        own = {}
    launchers.launch(own, key, problems)
    # Faults of the suite's table were told at its own key.
    return launchers.launch(shared | own, (), Problems(""))


def _settings(table: Table, key: Key, problems: Problems, *more: str) -> Table:
    """A table of settings without what would keep the rest of it from being checked."""
    known = (*TABLES[()].model_fields, *queue_settings.KEYS, "preset", "structure", *more)
    problems.unknown_keys(key, table, known)
    if table.get("preset", PRESETS[0]) not in PRESETS:
        problems.add((*key, "preset"), f"unknown preset {table['preset']!r}, known: {', '.join(PRESETS)}")
        table = {k: v for k, v in table.items() if k != "preset"}
    for name in matrix.SETTINGS:
        if not isinstance(table.get(name, {}), dict):
            problems.add((*key, name), "should be a table")
            table = {k: v for k, v in table.items() if k != name}
    return {k: v for k, v in table.items() if k in known}


def _check_given(name: str, table: Table, problems: Problems) -> None:
    """What a structure already says may not be said once more in the same table."""
    if table.get("structure", NO_STRUCTURE) != NO_STRUCTURE:
        for key in ("method", "space"):
            if key in table:
                problems.add(("experiment", name, key), "a given structure is trained as it is: leave this out")


def _check_order(suite: str, runs: Sequence[PlannedRun], problems: Problems) -> None:
    """No run may wait for itself, through however many others."""
    sources = {f"{suite}/{run.name}": awaited(run.spec) for run in runs}
    for name in sources:
        seen, source = {name}, sources[name]
        while source is not None and source not in seen:
            seen.add(source)
            source = sources.get(source)
        if source is not None:
            experiment = name.partition("/")[2].partition("/")[0]
            problems.add(("experiment", experiment, "structure"), f"{source} would wait for itself")


def _planned_names(experiments: Table) -> frozenset[str]:
    """The names of all runs; what is wrong with a matrix is told elsewhere."""
    found: set[str] = set()
    for name, table in experiments.items():
        if len(found) > matrix.MOST_RUNS:
            break  # too many already: a single matrix can add as many again
        axes = table.get("matrix", {}) if isinstance(table, dict) else {}
        for point in matrix.points(axes, lambda *_: None):
            found.add(f"{name}/{matrix.written(point)}" if point else name)
    return frozenset(found)


def _apart(table: Table) -> tuple[Table, Table]:
    """What a table wants of the manager, and the settings that define the run."""
    own = {k: v for k, v in table.items() if k in queue_settings.KEYS}
    return own, {k: v for k, v in table.items() if k not in queue_settings.KEYS}


def _merged(defaults: Table, own: Table) -> Table:
    """What is wanted, resources key by key."""
    resources = [t["resources"] for t in (defaults, own) if isinstance(t.get("resources"), dict)]
    return defaults | own | {"resources": {k: v for table in resources for k, v in table.items()}}


def _shared(defaults: Table, experiments: dict[str, Table]) -> Defaults:
    """The defaults with the errors they have by themselves, so that these are reported once."""
    alone = {"model": "any"} | defaults | {"task": ANY_TASK, "space": ANY_SPACE}
    if alone.pop("structure", NO_STRUCTURE) != NO_STRUCTURE:
        alone["method"] = GIVEN.name
    overridden = frozenset(key for table in experiments.values() for key in table)
    return Defaults(defaults, check(alone)[1], overridden)


def _experiment(
    name: str, table: Table, defaults: Defaults, resolver: Resolver, problems: Problems
) -> Iterator[tuple[str, RunSpec]]:
    """The runs of one experiment: one, or one for each point of its matrix."""
    key = ("experiment", name)
    overrides = {k: v for k, v in table.items() if k != "matrix"}
    points = matrix.points(
        table.get("matrix", {}), lambda axis, message: problems.add((*key, "matrix", *axis), message)
    )
    names = [f"{name}/{matrix.written(point)}" if point else name for point in points]
    for run_name in (n for n, times in Counter(names).items() if times > 1 or len(n) - len(name) > 200):
        problems.add((*key, "matrix"), f"values are alike or too long to name a folder: {run_name}")
    for run_name, point in zip(names, points, strict=True):
        layers = Layers(name, defaults, overrides, point)
        report = partial(_blame, problems, layers)
        spec, errors = check(resolver(layers.merged(), report))
        for loc, message in errors:
            report(loc, message)
        if spec is not None:
            yield run_name, spec


def _blame(problems: Problems, layers: Layers, loc: Loc, message: str) -> None:
    """Note an error of merged settings at the key of the file that causes it."""
    problems.add(layers.locate(loc, message), message)

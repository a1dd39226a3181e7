"""Reads a suite from a TOML file. Every problem of the file is reported at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from core.run.errors import SpecError
from core.run.given import awaited
from core.run.methods import GIVEN
from core.run.rundir import RunDir
from core.run.spec import PRESETS, RunSpec
from s3tui.launchers.registry import kinds
from s3tui.race.facts import Runs, runs_of
from s3tui.race.record import Record, read_race_if_whole
from s3tui.runs.records.launch import AUTO, Launch
from s3tui.runs.records.queue import Queue
from s3tui.runs.workspace import Workspace
from s3tui.structures.run_reference import References
from s3tui.suite import arms, matrix, queue_settings
from s3tui.suite import launcher_settings as launchers
from s3tui.suite.layers import Defaults, Layers, Table
from s3tui.suite.queue_settings import NAME, NAME_RULE, SuiteSettings
from s3tui.suite.resolve_names import ANY_SPACE, ANY_TASK, NO_STRUCTURE, Resolver, absolute, own_spaces
from s3tui.suite.validate import TABLES, Errors, check, read_table
from s3tui.text.problems import Key, Problems
from s3tui.text.toml_file import read_toml
from s3tui.text.toml_types import Table as TomlTable


class _Document(TomlTable):
    """The tables of a file."""

    suite: Table = Field(default_factory=dict)
    defaults: Table = Field(default_factory=dict)
    experiment: Table = Field(default_factory=dict)
    space: Table = Field(default_factory=dict)
    launcher: Table = Field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a suite; the name is `EXPERIMENT` or `EXPERIMENT/seed=1,budget=0.0004`.

    `queue` is its queue entry, which does not define the run.
    """

    name: str
    spec: RunSpec
    queue: Queue


@dataclass(frozen=True)
class Suite:
    """The runs of a TOML file and the workspace that they belong to; `races` are those of its experiments that race.

    `notify` are those whom the suite notifies.
    """

    name: str
    workspace: Path
    runs: tuple[PlannedRun, ...]
    races: dict[str, Record] = field(default_factory=dict)
    notify: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that holds the runs of this suite."""
        return self.workspace / self.name

    def directory(self, run: PlannedRun) -> RunDir:
        """The directory of a run of this suite."""
        return RunDir(self.folder / run.name)


def load(file: Path) -> Suite:
    """Read a suite; raises ConfigError with every problem of the file."""
    suite, problems = sound_part(file)
    problems.raise_any()
    return suite


def sound_part(file: Path) -> tuple[Suite, Problems]:
    """The suite with those runs of which nothing is wrong, and every problem of the file.

    Raises ConfigError if it is no TOML, or has too many runs.
    """
    problems = Problems(str(file))
    document = read_table(_Document, read_toml(file), (), problems)
    folder = file.resolve().parent
    settings = read_table(SuiteSettings, {"name": file.stem} | document.suite, ("suite",), problems)
    name, workspace = settings.name, _workspace(settings.workspace, folder, problems)
    planned = _planned_names(document.experiment)
    if len(planned) > matrix.MOST_RUNS:
        problems.add(("experiment",), f"these are more than {matrix.MOST_RUNS:,} runs, the most that a suite may have")
        problems.raise_any()
    references = References(Workspace(workspace), name, planned)
    resolver = Resolver(folder, own_spaces(document.space, problems), references)
    races: dict[str, Record] = {}
    runs = tuple(_runs(document, resolver, settings, _Races(workspace / name, races), problems))
    _check_order(name, runs, problems)
    return Suite(name, workspace, runs, races, settings.notify), problems


@dataclass(frozen=True)
class _Races:
    """The folder of the suite, in which races of before have left their records, and the races that are found."""

    folder: Path
    found: dict[str, Record]

    def before(self, experiment: str) -> Record | None:
        """The record that this race has left, if it can be read."""
        return read_race_if_whole(self.folder / experiment)

    def runs(self, record: Record) -> Runs:
        """The runs that a race of before has left."""
        return runs_of(Workspace(self.folder.parent), self.folder.name, record)


def _table(parent: Table, key: Key, problems: Problems) -> Table:
    """The table at the end of `key`, empty where there is none."""
    value = parent.get(str(key[-1]), {})
    if not isinstance(value, dict):
        problems.add(key, "should be a table")
        return {}
    return value


def _workspace(value: str, folder: Path, problems: Problems) -> Path:
    try:
        return absolute(folder, value)
    except SpecError as error:
        problems.add(("suite", "workspace"), str(error))
    return folder


def _runs(
    document: _Document, resolver: Resolver, suite: SuiteSettings, races: _Races, problems: Problems
) -> Iterator[PlannedRun]:
    """The runs of every experiment; what is wrong with them is noted."""
    defaults, experiments = document.defaults, document.experiment
    if not experiments:
        problems.add(("experiment",), "there is no experiment; add one, as in [experiment.first]")
    defaults = _settings(defaults, ("defaults",), problems)
    tables = {n: _table(experiments, ("experiment", n), problems) for n in experiments}
    wanted, defaults = _apart(defaults)
    queue_settings.queue(wanted, ("defaults",), suite, problems)
    launchers.launch(document.launcher, ("launcher",), problems)
    shared = _shared(defaults, tables)
    seen: dict[str, str] = {}
    for name, table in tables.items():
        if not NAME.fullmatch(name):
            problems.add(("experiment", name), f"cannot name a folder, {NAME_RULE}")
        table = _settings(table, ("experiment", name), problems, "matrix", "launcher", "race")
        own, table = _apart(table)
        launch = _launch(document.launcher, table.pop("launcher", {}), ("experiment", name, "launcher"), problems)
        _check_given(("experiment", name), table, problems)
        # Faults of the defaults were reported above, at their own key.
        queue_settings.queue(own, ("experiment", name), suite, problems)
        queue = queue_settings.queue(_merged(wanted, own), (), suite, Problems(""))
        for run_name, spec in _experiment(name, table, shared, resolver, races, problems):
            if (queue.resources.gpus or 0) > 1 and spec.device not in ("auto", "cuda"):
                reason = f'{queue.resources.gpus} GPUs need device = "auto" or "cuda", not {spec.device!r}'
                problems.add(("experiment", name, "resources", "gpus"), reason)
            run = PlannedRun(run_name, spec, replace(queue, device=spec.device, order=len(seen), launch=launch))
            other = seen.setdefault(run.spec.digest(), run.name)
            if other != run.name:
                problems.add(("experiment", name), f"{run.name} is the same run as {other}")
            yield run


def _launch(shared: Table, own: Any, key: Key, problems: Problems) -> Launch:
    """Where the runs of an experiment are started: its own `launcher` table over that of the suite."""
    if not isinstance(own, dict):
        problems.add(key, "should be a table")
        own = {}
    kind = shared.get("kind", AUTO)
    launchers.launch(own, key, problems, kind if kind in kinds() else AUTO)
    # Faults of the suite's table were reported at its own key.
    return launchers.launch(shared | own, (), Problems(""))


def _settings(table: Table, key: Key, problems: Problems, *more: str) -> Table:
    """A table of settings without the faulty keys that would prevent checks of the rest."""
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


def _check_given(of: Key, table: Table, problems: Problems) -> None:
    """Report keys that contradict a given structure in the same table."""
    if table.get("structure", NO_STRUCTURE) != NO_STRUCTURE:
        for key in ("method", "space"):
            if key in table:
                problems.add((*of, key), "a given structure is trained as it is: leave this out")


def _check_order(suite: str, runs: Sequence[PlannedRun], problems: Problems) -> None:
    """Report runs that would wait for themselves, directly or through others."""
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
    """The names of all runs; what is wrong with a matrix is reported elsewhere."""
    found: set[str] = set()
    for name, table in experiments.items():
        if len(found) > matrix.MOST_RUNS:
            break  # too many already: a single matrix can add as many again
        axes = table.get("matrix", {}) if isinstance(table, dict) else {}
        for point in matrix.points(axes, lambda *_: None):
            found.add(f"{name}/{matrix.written(point)}" if point else name)
    return frozenset(found)


def _apart(table: Table) -> tuple[Table, Table]:
    """Split a table into the keys of the queue and the settings that define the run."""
    own = {k: v for k, v in table.items() if k in queue_settings.KEYS}
    return own, {k: v for k, v in table.items() if k not in queue_settings.KEYS}


def _merged(defaults: Table, own: Table) -> Table:
    """The keys of the queue of an experiment over those of the defaults; `resources` are merged key by key."""
    resources = [t["resources"] for t in (defaults, own) if isinstance(t.get("resources"), dict)]
    return defaults | own | {"resources": {k: v for table in resources for k, v in table.items()}}


def _shared(defaults: Table, experiments: dict[str, Table]) -> Defaults:
    """The defaults with their own errors, so that these are reported once."""
    alone = {"model": "any"} | defaults | {"task": ANY_TASK, "space": ANY_SPACE}
    if alone.pop("structure", NO_STRUCTURE) != NO_STRUCTURE:
        alone["method"] = GIVEN.name
    overridden = frozenset(key for table in experiments.values() for key in table)
    return Defaults(defaults, check(alone)[1], overridden)


def _experiment(
    name: str, table: Table, defaults: Defaults, resolver: Resolver, races: _Races, problems: Problems
) -> Iterator[tuple[str, RunSpec]]:
    """The runs of one experiment: one, one for each point of its matrix, or the arms of its race."""
    key = ("experiment", name)
    race, overrides = arms.entry({k: v for k, v in table.items() if k != "matrix"}, key, problems)
    points = matrix.points(
        table.get("matrix", {}), lambda axis, message: problems.add((*key, "matrix", *axis), message)
    )
    variants = _variants(table.get("matrix", {}), (*key, "matrix", matrix.VARIANT), problems)
    if race is not None:
        race, points = arms.with_arms(race, points, races.before(name), races.runs, (*key, "race"), problems)
    drawn = race.drawn if race is not None else ({},) * len(points)
    shown = [matrix.written(point | more) for point, more in zip(points, drawn, strict=True)]
    names = [f"{name}/{point}" if point else name for point in shown]
    for run_name in (n for n, times in Counter(names).items() if times > 1 or len(n) - len(name) > 200):
        problems.add((*key, "matrix"), f"values are alike or too long to name a folder: {run_name}")
    runs = []
    for run_name, point, more in zip(names, points, drawn, strict=True):
        variant = variants.get(point.get((matrix.VARIANT,), ""), {})
        layers = Layers(name, defaults, arms.overridden(overrides, more), point, variant)
        spec = _spec(layers, resolver, problems)
        if spec is not None:
            runs.append((run_name, spec))
    if race is not None and len(runs) == len(names):
        races.found[name] = arms.recorded(race, runs, (*key, "race"), problems)
    yield from runs


def _variants(axes: Any, key: Key, problems: Problems) -> dict[str, Table]:
    """The settings of each variant of a matrix; that they are no tables is reported with the points."""
    tables = axes.get(matrix.VARIANT, {}) if isinstance(axes, dict) else {}
    tables = tables if isinstance(tables, dict) else {}
    found = {name: _settings(_table(tables, (*key, name), problems), (*key, name), problems) for name in tables}
    for name, table in found.items():
        _check_given((*key, name), table, problems)
    return found


def _spec(layers: Layers, resolver: Resolver, problems: Problems) -> RunSpec | None:
    """The settings of a run; what is wrong with them is noted at the keys of the file that cause it, and gives None."""
    faults: Errors = []
    spec, errors = check(resolver(layers.merged(), lambda loc, message: faults.append((loc, message))))
    for loc, message in (*faults, *errors):
        problems.add(layers.locate(loc, message), message)
    return None if faults else spec

"""Rows and details of the runs that a suite would start; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from core.run.methods import method_of
from s3tui.text.sanitize import clean
from s3tui.text.units import ABSENT, count, percent
from s3tui.tui.support.palette import STATES, Cell, Part, text
from s3tui.tui.tables.run_rows import MARK
from s3tui.tui.widgets.grid import Column, Row

if TYPE_CHECKING:
    from core.run.spec import RunSpec
    from s3tui.suite.data_text import Look
    from s3tui.suite.plan import Outlook
    from s3tui.suite.size import Size

COLUMNS = (
    Column("state", "state", 13, rank=1), Column("name", "run", 0, rank=0, name=True),
    Column("method", "method", 8, rank=2), Column("task", "task", 16, rank=3, name=True),
    Column("space", "space", 16, rank=7),
    Column("seed", "seed", 5, right=True, rank=8), Column("candidates", "candidates", 10, right=True, rank=5),
    Column("parameters", "of parameters", 13, right=True, rank=6), Column("budget", "budget", 11, right=True, rank=4),
)  # fmt: skip
NEW: Part = ("+ ", "accent")
MOST_LINES = 3  # of problems, and of warnings, as room is short
IN_THE_WAY: Part = ("! ", "bad")


def state_of(one: Outlook) -> str:
    """The existing state of a run, in a word."""
    return "in the way" if one.refusal else one.state


def glyph_of(name: str) -> Part:
    """The glyph of a state, with its tone."""
    if name in ("new", "in the way"):
        return NEW if name == "new" else IN_THE_WAY
    glyph, tone = STATES.get(name, ("?", ""))
    return (f"{glyph} ", tone)


def row_of(one: Outlook, marked: bool, size: Size | None) -> Row:
    """A run of the suite as a row."""
    spec, name = one.run.spec, state_of(one)
    tone = "" if marked else "muted"
    mark: Part = (MARK, "accent") if marked else (" ", "")
    cells: Mapping[str, Cell] = {
        "state": (mark, glyph_of(name), (name, "bad" if one.refusal else tone)),
        "name": text(clean(one.run.name), tone),
        "method": text(spec.method, tone),
        "task": text(clean(_task(spec)), tone),
        "space": text(clean(spec.space.name) if method_of(spec.method).has_space else ABSENT, tone),
        "seed": text(str(spec.seed), tone),
        "candidates": _counted(size.candidates if size and not size.problem else None, tone),
        "parameters": _counted(size.parameters if size and not size.problem else None, tone),
        "budget": text(_budget(spec, size), tone),
    }
    return Row(one.run.name, dict(cells))


def _counted(value: int | None, tone: str) -> Cell:
    return text(count(value), "muted" if value is None else tone)


def _task(spec: RunSpec) -> str:
    return str(getattr(spec.task, "name", "") or getattr(spec.task, "path", ""))


def _budget(spec: RunSpec, size: Size | None) -> str:
    """The budget in parameters if the size of the model is known or not needed, else as given."""
    if spec.budget is None:
        return ABSENT
    if spec.budget >= 1:
        return count(spec.budget)
    return count(int(spec.budget * size.backbone)) if size and size.backbone else percent(spec.budget)


def detail_of(one: Outlook, size: Size | None, measuring: bool) -> list[list[Cell]]:
    """The details of a run: why it cannot be started, its model, space and size."""
    from s3tui.suite.size import in_words

    spec = one.run.spec
    lines = []
    if method_of(spec.method).has_space:
        lines = [_named("size", *_written_size(size, measuring)), _named("space", _space(spec))]
        lines += [_named("exports", clean(in_words(size.exports)))] if size and size.exports else []
    lines += [_named("model", clean(spec.model)), _named("length", _length(spec))]
    if one.refusal:
        lines.insert(0, _named("refused", clean(one.refusal), "bad"))
    elif one.replaced:
        lost = "results too" if one.trained else "as it never began to train"
        lines.insert(0, _named("there", f"{one.state}, with other settings: is replaced, {lost}", "warn"))
    elif one.state == "finished":
        lines.insert(0, _named("there", "finished before: is left as it is", "good"))
    elif one.state != "new":
        lines.insert(0, _named("there", f"{one.state}: is continued"))
    return lines


def data_lines(one: Outlook, look: Look | None, size: Size | None) -> list[list[Cell]]:
    """A few lines on the data and the budget of a run, problems first."""
    from s3tui.suite.beforehand import misfit
    from s3tui.suite.data_text import lines

    budget = misfit(one.run.spec, size)
    problems = [_named("problem", clean(line), "bad") for line in ([budget] if budget else [])]
    if look is None:
        return problems
    folder = f"{PurePath(look['task']).parent}/"  # there is no room for it in each line
    listed = {
        kind: [clean(line.replace(folder, "")) for line in look[kind][:MOST_LINES]] for kind in ("problems", "warnings")
    }
    problems += [_named("problem", line, "bad") for line in listed["problems"]]
    warned = [_named("warning", line, "warn") for line in listed["warnings"]]
    return [*problems, *warned, *(_named("data", clean(line)) for line in lines(look))]


def _named(name: str, value: str, tone: str = "") -> list[Cell]:
    return [text(f"{name:9}", "muted"), text(value, tone)]


def _length(spec: RunSpec) -> str:
    row = method_of(spec.method)
    phases = {"search": getattr(spec, row.length) if row.searches else None, "retrain": spec.retrain}
    lengths = [
        f"{name} {f'{phase.max_steps:,} steps' if phase.max_steps else f'{phase.epochs:g} epochs'}"
        for name, phase in phases.items()
        if phase is not None
    ]
    return ", ".join(lengths)


def _space(spec: RunSpec) -> str:
    """The space by name, with its patterns and deltas."""
    groups = [f"{pattern}: {', '.join(deltas)}" for group in spec.space.groups for pattern, deltas in group.items()]
    return clean(f"{spec.space.name}  {'; '.join(groups)}" if groups else spec.space.name)


def _written_size(size: Size | None, measuring: bool) -> tuple[str, str]:
    if size is None:
        return ("building the model without its weights to count" if measuring else "unknown", "muted")
    if size.problem:
        return (f"unknown: {clean(size.problem)}", "warn")
    return (f"{size.candidates:,} candidates, {size.parameters:,} of {size.backbone:,} parameters", "")

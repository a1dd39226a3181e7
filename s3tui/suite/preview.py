"""The preview of a suite: its runs, which of them exist already, and the sizes of their spaces."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.errors import S3Error
from core.run.methods import method_of
from core.run.spaces import SpaceSpec
from core.run.spec import Exportable, RunSpec
from s3tui.suite import known_sizes
from s3tui.suite.load import Suite, load
from s3tui.suite.plan import Outlook, outlooks
from s3tui.suite.size import Size


@dataclass(frozen=True)
class Preview:
    """A suite as it would be started now; with `fresh`, runs whose settings changed are replaced."""

    file: Path
    suite: Suite
    runs: tuple[Outlook, ...]
    fresh: bool

    def command(self, chosen: Sequence[Outlook]) -> str:
        """The command that starts the chosen runs."""
        parts = ["s3tui", "run", str(self.file)]
        if len(chosen) < len(self.runs):
            parts += [f"--only={one.run.name}" for one in chosen]
        return shlex.join([*parts, *(["--fresh"] if self.fresh else []), "--detach"])


def read(file: Path, fresh: bool) -> Preview:
    """Read a suite and look for existing runs; raises ConfigError with every problem of the file."""
    return look(file, load(file), fresh)


def look(file: Path, suite: Suite, fresh: bool) -> Preview:
    """Look for existing runs of a suite."""
    return Preview(file, suite, tuple(outlooks(suite, suite.runs, fresh)), fresh)


def key_of(spec: RunSpec) -> str:
    """A key for the size of a space on a model."""
    return f"{_place_of(spec)}\n{spec.space.model_dump_json()}"


@dataclass(frozen=True)
class _Place:
    """What spaces are measured on."""

    model: str
    exportable: Exportable
    head: bool


def _place_of(spec: RunSpec) -> _Place:
    return _Place(spec.model, spec.exportable, spec.head)


def sizes(specs: Iterable[RunSpec]) -> dict[str, Size]:
    """The sizes of all spaces, by `key_of`: a child process builds each model without weights, which takes seconds."""
    unknown: dict[_Place, dict[str, RunSpec]] = {}
    found: dict[str, Size] = {}
    for spec in specs:
        key, place = key_of(spec), _place_of(spec)
        if not method_of(spec.method).has_space or key in found or key in unknown.get(place, {}):
            continue
        size = known_sizes.known(spec)
        if size is not None:
            found[key] = size
        else:
            unknown.setdefault(place, {})[key] = spec
    for place, asked in unknown.items():
        measured = _on_model(place, [spec.space for spec in asked.values()])
        for (key, spec), size in zip(asked.items(), measured, strict=True):
            found[key] = size
            known_sizes.keep(spec, size)
    return found


def _on_model(place: _Place, spaces: Sequence[SpaceSpec]) -> list[Size]:
    from s3tui.suite.model_sites import examine

    try:
        found: dict[str, Any] = examine(place.model, spaces, place.exportable, place.head)
        return [
            Size(
                one["candidates"], one["parameters"], found["parameters"], one["problem"], one["smallest"],
                bool(one["problem"]), **one["obstacles"],
            )
            for one in found["spaces"]
        ]  # fmt: skip
    except (S3Error, OSError) as error:
        return [Size(problem=str(error)) for _ in spaces]

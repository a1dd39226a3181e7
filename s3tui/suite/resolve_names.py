"""Resolves the names of a TOML file (tasks, spaces, folders); relative paths become absolute."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.run.datapath import check_data_path
from core.run.deltas import parse_delta
from core.run.errors import DataError, S3Error, SpecError, nearest
from core.run.given import awaited_space, given_space
from core.run.methods import GIVEN, method_of
from core.run.modelfiles import GGUF
from core.run.rundir import read_json
from core.run.spaces import LIBRARY, SpaceSpec, check_pattern, inline_space, library_space, original_space
from core.run.structure import RUN
from core.run.tasks import TASKS
from s3tui.structures.load import is_original, of_file
from s3tui.structures.run_reference import References
from s3tui.suite.validate import Loc
from s3tui.text.problems import Problems

Report = Callable[[Loc, str], None]

# Placeholders for a task or space with a reported error, so that the rest of its run can still be checked.
ANY_TASK = {"name": "any"}
ANY_SPACE = library_space("bitfit")

NO_STRUCTURE = "none"  # cancels a structure set in the defaults


def absolute(folder: Path, path: str) -> Path:
    """A path that is relative to the folder of the TOML file; raises SpecError if it is not a valid path."""
    if not path:
        raise SpecError("should be a text that is not empty")
    try:
        resolved = (folder / Path(path).expanduser()).resolve()
        resolved.exists()  # a name that is too long is an error only here
    except (OSError, RuntimeError, ValueError) as error:
        raise SpecError(f"{path!r} cannot be a path", str(error)) from None
    return resolved


def own_spaces(tables: Mapping[str, Any], problems: Problems) -> dict[str, SpaceSpec]:
    """The `[space.NAME]` tables as spaces; a faulty one is reported and replaced by a placeholder."""
    spaces = {}
    for name, table in tables.items():
        key = ("space", name)
        spaces[name] = ANY_SPACE
        if name in LIBRARY or name.endswith(".json"):
            problems.add(key, "the library has a space of this name" if name in LIBRARY else "ends like a file's name")
        elif not isinstance(table, dict):
            problems.add(key, 'should be a table, as in "attn.q" = ["lora(rank=1)"]')
        elif not _faults(name, table, problems):
            spaces[name] = inline_space(name, table)
    return spaces


def _faults(name: str, table: Mapping[str, Any], problems: Problems) -> bool:
    """Report every error in the table of a space; gives whether there is one."""
    faults = [(pattern, fault) for pattern, deltas in table.items() for fault in _pattern_faults(pattern, deltas)]
    for pattern, fault in faults:
        problems.add(("space", name, pattern), fault)
    return bool(faults)


def _pattern_faults(pattern: str, deltas: Any) -> Iterator[str]:
    if not isinstance(deltas, list) or not all(isinstance(d, str) for d in deltas):
        yield 'should be a list of deltas, as in ["lora(rank=1)"]'
        return
    for check, text in [(check_pattern, pattern), *((parse_delta, d) for d in deltas)]:
        try:
            check(text)
        except SpecError as error:
            yield str(error)


@dataclass(frozen=True)
class Resolver:
    """Resolves the names and paths of one file."""

    folder: Path
    spaces: Mapping[str, SpaceSpec]
    references: References

    def __call__(self, data: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """The settings with all names resolved; unknown ones are reported."""
        data = self._with_structure(data, report)
        return {key: self._resolved(key, value, report) for key, value in data.items()}

    def _with_structure(self, data: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        """Replace `structure` by the method `given` and a space that holds just that structure."""
        rest = {k: v for k, v in data.items() if k != "structure"}
        value = data.get("structure", NO_STRUCTURE)
        if value != NO_STRUCTURE:
            return rest | {"method": GIVEN.name, "space": self._structure(value, report)}
        if method_of(rest.get("method")).is_given:
            report(("method",), 'needs the structure, as in structure = "run:NAME" or structure = "FILE.json"')
        return rest

    def _structure(self, value: Any, report: Report) -> SpaceSpec:
        try:
            if not isinstance(value, str):
                raise SpecError("should be run:NAME or a structure file, in quotes")
            if value.startswith(RUN):
                return awaited_space(self.references.resolve(value))
            return self._structure_file(absolute(self.folder, value))
        except S3Error as error:
            report(("structure",), str(error))
            return ANY_SPACE

    def _structure_file(self, path: Path) -> SpaceSpec:
        if not path.is_file():
            raise SpecError(f"there is no file {str(path)!r}", "a run is named with run: in front")
        if is_original(path):
            return original_space(path.name, read_json(path))
        return given_space(path.name, of_file(path).structure)

    def _resolved(self, key: str, value: Any, report: Report) -> Any:
        steps = {"model": self._model, "task": self._task, "space": self._space}
        try:
            return steps[key](value, report) if key in steps else value
        except SpecError as error:
            report((key,), str(error))
            return {"model": "any", "task": ANY_TASK, "space": ANY_SPACE}[key]

    def _model(self, value: Any, report: Report) -> Any:
        if not isinstance(value, str):
            return value
        folder = absolute(self.folder, value)
        is_file = value.endswith(GGUF)
        if folder.is_file() if is_file else folder.is_dir():
            return str(folder)
        if is_file or re.match(r"[./~]", value):
            report(("model",), f"there is no {'file' if is_file else 'folder'} {str(folder)!r}")
        return value

    def _task(self, value: Any, report: Report) -> Any:
        if isinstance(value, str):
            return self._named_task({"name": value}, ("task",), report)
        if not isinstance(value, dict):
            report(("task",), "should be the name of a task, or a table")
            return ANY_TASK
        if isinstance(value.get("path"), str):
            path = absolute(self.folder, value["path"])
            try:
                check_data_path(path, folder=True)
            except DataError as error:
                report(("task", "path"), error.message)
            return value | {"path": str(path)}
        return self._named_task(value, ("task", "name"), report)

    def _named_task(self, table: dict[str, Any], loc: Loc, report: Report) -> dict[str, Any]:
        name = table.get("name")
        if isinstance(name, str) and name not in TASKS:
            report(loc, f"unknown task {name!r}, {nearest(name, TASKS)}")
        if not isinstance(table.get("data_root"), str):
            return table
        root = absolute(self.folder, table["data_root"])
        if not root.is_dir():
            report(("task", "data_root"), f"there is no folder {str(root)!r}")
        return table | {"data_root": str(root)}

    def _space(self, value: Any, report: Report) -> SpaceSpec:
        if isinstance(value, SpaceSpec):
            return value
        if not isinstance(value, str):
            report(("space",), "should be the name of a space, or a structure file that ends with .json")
        elif value in self.spaces:
            return self.spaces[value]
        elif value.endswith(".json"):
            return self._space_file(absolute(self.folder, value), report)
        elif value in LIBRARY:
            return library_space(value)
        else:
            report(("space",), f"unknown space {value!r}, {nearest(value, [*LIBRARY, *self.spaces])}")
        return ANY_SPACE

    def _space_file(self, path: Path, report: Report) -> SpaceSpec:
        if not path.is_file():
            report(("space",), f"there is no file {str(path)!r}")
            return ANY_SPACE
        try:
            return original_space(path.name, read_json(path))
        except S3Error as error:
            report(("space",), str(error))
        return ANY_SPACE

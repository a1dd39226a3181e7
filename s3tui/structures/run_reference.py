"""References to the structure of another run: resolving them, waiting for it, and filling it into the settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.run.errors import RunDirError, S3Error, SpecError, nearest
from core.run.methods import method_of
from core.run.rundir import RunDir, read_json, write_json
from core.run.searched import take
from core.run.structure import RUN
from s3tui.runs.records.result import read_result
from s3tui.runs.status import Done, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.structures.load import of_run

if TYPE_CHECKING:
    from core.run.spec import RunSpec


@dataclass(frozen=True)
class References:
    """The runs to which `structure = "run:NAME"` may refer: those of the suite and those of the workspace."""

    workspace: Workspace
    suite: str
    planned: Collection[str]

    def resolve(self, reference: str) -> str:
        """The full name of a run, `SUITE/NAME`; raises SpecError if there is no such run."""
        name = reference.removeprefix(RUN)
        if name in self.planned:
            return f"{self.suite}/{name}"
        full = name.removeprefix(f"{self.suite}/")
        if full in self.planned or _is_run(self.workspace, name):
            return name
        if _is_run(self.workspace, f"{self.suite}/{name}"):
            return f"{self.suite}/{name}"
        known = [*self.planned, *self.workspace.names()]
        raise SpecError(f"no run is called {name!r}, here or in {self.workspace.path}", nearest(name, known))


def _is_run(workspace: Workspace, name: str) -> bool:
    parts = Path(name).parts
    return bool(parts) and not Path(name).is_absolute() and ".." not in parts and workspace.run(name).exists()


def awaited_run(spec: Mapping[str, Any]) -> str | None:
    """The run for whose structure the settings in a `spec.json` wait; None if they are complete."""
    space = spec.get("space", {})
    if not method_of(spec.get("method")).is_given or space.get("groups"):
        return None
    name: str = space.get("name", "")
    return name.removeprefix(RUN) if name.startswith(RUN) else None


def lacks_weights(spec: Mapping[str, Any], directory: RunDir) -> bool:
    """Whether a given structure is to start with the weights of another run, which have not been copied yet."""
    is_given = method_of(spec.get("method")).is_given
    return is_given and spec.get("retrain", {}).get("start") == "searched" and not directory.search.exists()


def hand_over(spec: Mapping[str, Any], directory: RunDir, workspace: Workspace) -> None:
    """Copy the weights that the run has learned whose structure is given; raises S3Error if it has none."""
    source = spec["space"]["name"].removeprefix(RUN)
    if not workspace.run(source).search.exists():
        raise SpecError(f"{source} has no weights of a search to start with", 'set retrain.start = "scratch"')
    take(directory, workspace.run(source), source)


@dataclass(frozen=True)
class Wait:
    """Why a run cannot start yet, and whether it will `ever` start without action of the user."""

    reason: str
    ever: bool


def wait_for(source: str, found: FoundRun | None, impossible: Collection[str]) -> Wait | None:
    """Why a run that trains the structure of another has to wait for that; None if it need not."""
    if found is None:
        return Wait(f"waiting for the structure of {source}, which does not exist", False)
    if isinstance(found.status, Done):
        return None
    alive = isinstance(found.status, (Queued, Running, Quiet)) and source not in impossible
    return Wait(f"waiting for the structure of {source}, which is {found.status.name}", alive)


def complete(directory: RunDir, workspace: Workspace) -> None:
    """Fill in the structure found by another run in the settings of a run that has not started.

    Raises S3Error if that run has no structure, or an empty one.
    """
    from core.run.spec import RunSpec

    spec = with_structure(RunSpec.of_file(read_json(directory.spec)), workspace)
    write_json(directory.spec, spec.model_dump(mode="json"))


def with_structure(spec: RunSpec, workspace: Workspace) -> RunSpec:
    """The settings with the current structure of their source run; raises S3Error if it has none."""
    from core.run.given import given_space

    source = spec.space.name.removeprefix(RUN)
    structure = of_run(workspace.run(source), source).structure
    return spec.model_copy(update={"space": given_space(f"{RUN}{source}", structure)})


def comparable(planned: RunSpec, there: RunSpec, workspace: Workspace) -> RunSpec:
    """Planned settings in a form that can be compared with the existing settings `there` of the same run.

    While the source of a structure has no result, a run keeps the structure that it has.
    """
    from core.run.given import awaited, is_given

    source = awaited(planned)
    if source is None or not is_given(there) or awaited(there) == source:
        return planned
    try:
        read_result(workspace.run(source))
        return with_structure(planned, workspace)
    except (RunDirError, S3Error):
        same = there.space.name == planned.space.name
        return planned.model_copy(update={"space": there.space}) if same else planned

"""The `[launcher]` settings of a run. They do not affect its result, so they are kept in `queue.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, get_args

from core.run.fields import Count, Made

Kind = Literal["local", "slurm", "auto"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Option = str | int | bool  # of sbatch
WARN_SECONDS = 120
MAX_TASKS = 1000  # of one array: Slurm's own limit, MaxArraySize, is 1001 where nobody has raised it


def _pairs(table: dict[str, Option]) -> tuple[tuple[str, Option], ...]:
    return tuple(table.items())


@dataclass(frozen=True)
class Launch:
    """Where a run is started, and what its job asks for; what is empty or 0 is left to the cluster's defaults.

    `kind` "auto" is Slurm where it answers and this machine otherwise; in the queue it is never "auto". `memory` is in
    bytes, `time` as Slurm writes it. `parallel` limits how many tasks of an array run at once. `warn_seconds` before
    the time limit the worker is asked for a checkpoint. `setup` are lines of bash before it starts, `sbatch` are
    further options of sbatch.
    """

    kind: Kind = "local"
    partition: str = ""
    account: str = ""
    qos: str = ""
    gres: str = ""
    constraint: str = ""
    exclude: str = ""
    time: str = ""
    cpus: Count = 0
    memory: Count = 0
    parallel: Count = 0
    warn_seconds: Count = WARN_SECONDS
    setup: tuple[str, ...] = ()
    sbatch: Annotated[tuple[tuple[str, Option], ...], Made(dict[str, Option], _pairs)] = ()

    @property
    def is_slurm(self) -> bool:
        """Whether a cluster runs it."""
        return self.kind == "slurm"

    def to_json(self) -> dict[str, Any]:
        """What is written into `queue.json`."""
        return asdict(self) | {"setup": list(self.setup), "sbatch": dict(self.sbatch)}

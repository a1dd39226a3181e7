"""What a run asks of a cluster: the `[launcher]` table. None of it defines the run, so it is kept in `queue.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Kind = Literal["local", "slurm", "auto"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WARN_SECONDS = 120
MAX_TASKS = 1000  # of one array: Slurm's own limit, MaxArraySize, is 1001 where nobody has raised it


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
    cpus: int = 0
    memory: int = 0
    parallel: int = 0
    warn_seconds: int = WARN_SECONDS
    setup: tuple[str, ...] = ()
    sbatch: tuple[tuple[str, str | int | bool], ...] = ()

    @property
    def is_slurm(self) -> bool:
        """Whether a cluster runs it."""
        return self.kind == "slurm"

    def to_json(self) -> dict[str, Any]:
        """What is written into `queue.json`."""
        return asdict(self) | {"setup": list(self.setup), "sbatch": dict(self.sbatch)}


def launch_from_json(data: Mapping[str, Any] | None) -> Launch:
    """Read it back; files of before there was Slurm say nothing of it. Raises TypeError or ValueError on damage."""
    if data is None:
        return Launch()
    if data["kind"] not in KINDS:
        raise ValueError(f"launcher is {data['kind']!r}")
    return replace(Launch(**data), setup=tuple(map(str, data["setup"])), sbatch=tuple(dict(data["sbatch"]).items()))

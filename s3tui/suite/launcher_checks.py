"""What is missing on the cluster, told before anything is submitted, and whether there is a cluster at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from core.run.errors import SpecError, nearest
from s3tui.launchers.slurm.client import call, partitions, why_no_slurm
from s3tui.runs.records.launch import Kind, Launch
from s3tui.suite.load import PlannedRun


def decided(runs: Sequence[PlannedRun], wish: Kind | None) -> tuple[PlannedRun, ...]:
    """The runs with the launcher that they will have; `wish` comes before what their file says."""
    kinds = {wish or run.queue.launch.kind for run in runs}
    auto: Kind = "slurm" if "auto" in kinds and not why_no_slurm() else "local"

    def launch(run: PlannedRun) -> Launch:
        kind = wish or run.queue.launch.kind
        return replace(run.queue.launch, kind=auto if kind == "auto" else kind)

    return tuple(replace(run, queue=replace(run.queue, launch=launch(run))) for run in runs)


def check_cluster(runs: Iterable[PlannedRun]) -> None:
    """Raise SpecError with all that this cluster refuses of what the runs ask for."""
    launches = list(dict.fromkeys(run.queue.launch for run in runs if run.queue.launch.is_slurm))
    if not launches:
        return
    if problem := why_no_slurm():
        raise SpecError(f"launcher: {problem}", "--launcher local runs on this machine")
    known = partitions()
    problems = dict.fromkeys(problem for launch in launches if (problem := _refusal(launch, known)))
    if problems:
        raise SpecError("\n".join(problems))


def _refusal(launch: Launch, known: Sequence[str]) -> str:
    """Why the cluster would not take a job that asks for this; empty where it would."""
    unknown = [name for name in launch.partition.split(",") if name and name not in known]
    if unknown:
        return f"launcher.partition: there is no partition {unknown[0]!r} on this cluster, {nearest(unknown[0], known)}"
    from s3tui.launchers.slurm.batch_script import run_array

    # Slurm itself knows best: whether the account may, the GPUs are there, the time is within the limit.
    with tempfile.TemporaryDirectory(prefix="s3tui-") as folder:
        script = Path(folder) / "script.sh"
        script.write_text(run_array(Path(folder), 1, launch, 0).text("true"), encoding="utf-8")
        code, told = call("sbatch", "--test-only", str(script))
    return f"launcher: sbatch refuses: {_in_short(told)}" if code else ""


def _in_short(told: str) -> str:
    lines = [line.removeprefix("sbatch: error: ").removeprefix("allocation failure: ") for line in told.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines)))

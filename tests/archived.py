"""A folder of experiments that an earlier version of the program left behind, and what the commands say of it.

`data/archive-VERSION.tar.gz` is such a folder as `data/make_archive.py` made it with that version, and
`data/archive-VERSION.json` is what `observed` gave there and then. Nothing here imports the program: what it promises
of old files it promises to its commands, wherever its modules are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
VERSIONS = ("0.1.0",)
PLACE = "/home/user/experiments"  # where the folder was when its runs were made
PYTHON = "/home/user/venv/bin/python"
LOCAL, CLUSTER = "runs", "cluster-runs"  # its workspaces
SUITES = {LOCAL: "tiny.toml", CLUSTER: "cluster.toml"}
# Keys that a suite of this version has to have today to mean what it did then.
MEANT = {
    "0.1.0": {
        "[defaults]": 'step_scale = "shared"',
        "[defaults.search]": "warmup_steps = 0",
        "[defaults.retrain]": 'warmup_steps = 0\nstart = "scratch"',
    }
}
SILENT_SLURM = {"sinfo": "echo main", "sbatch": "exit 0"} | dict.fromkeys(
    ("squeue", "scontrol", "scancel", "sacct"), "echo it does not answer; exit 1"
)
DEADLINE = 240.0  # seconds; only a hang takes so long

OF_RUN = (
    "phase", "step", "total", "score", "parameters", "budget", "task", "method", "model", "seed", "device", "priority",
    "tags",
)  # fmt: skip
OF_QUEUE = ("wanted", "priority", "retries", "tags", "log_to", "resources")
OF_RESULT = ("experiment", "task", "model", "method", "budget", "runs", "score_mean", "parameters")
OF_STRUCTURE = ("model", "chosen", "candidates", "parameters", "budget")


def unpack(version: str, folder: Path) -> Path:
    """The archive in a folder of a test, its links and batch scripts leading to where it is now."""
    with tarfile.open(DATA / f"archive-{version}.tar.gz") as archive:
        # As it is, with the links to absolute paths that a filter would refuse: the file is ours.
        archive.extractall(folder, **({"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}))
    root = folder / "experiments"
    for suite in SUITES.values():
        text = (root / suite).read_text()
        for table, keys in MEANT.get(version, {}).items():
            text = text.replace(table, f"{table}\n{keys}", 1)
        (root / suite).write_text(text)
    for path in (root / CLUSTER / ".s3tui" / "slurm").rglob("*"):
        if path.is_symlink():
            target = str(path.readlink()).replace(PLACE, str(root))
            path.unlink()
            path.symlink_to(target)
        elif path.suffix == ".sh":
            path.write_text(path.read_text().replace(PLACE, str(root)).replace(PYTHON, sys.executable))
    return root


def expected(version: str) -> dict[str, Any]:
    """What the version that made an archive said of it."""
    return json.loads((DATA / f"archive-{version}.json").read_text())


def environment(root: Path) -> dict[str, str]:
    """Of a process that finds the models of the archive, and a cluster that takes jobs and says nothing of any."""
    programs = root.parent / "silent-slurm"
    programs.mkdir(exist_ok=True)
    for name, does in SILENT_SLURM.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    return os.environ | {
        "HF_HOME": str(root / "hub"), "HF_HUB_CACHE": str(root / "hub" / "hub"), "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1", "PATH": os.pathsep.join((str(programs), os.environ["PATH"])),
    }  # fmt: skip


def command(root: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run s3tui in the folder as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "s3tui", *arguments], cwd=root, env=environment(root) | more,
        capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def as_json(root: Path, *arguments: str) -> Any:
    """What a command prints with --json."""
    done = command(root, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def observed(root: Path, workspace: str) -> dict[str, Any]:
    """What the commands say of a workspace, as far as it depends on its files alone and on no clock."""
    listed = as_json(root, "list", "--in", workspace)["runs"]
    status = as_json(root, "status", "--in", workspace)
    finished = [run["name"] for run in listed if run["status"] == "finished"]
    return {
        "runs": {run["name"]: _run(run) for run in listed},
        "queues": {run["name"]: _queue(as_json(root, "show", run["name"], "--in", workspace)) for run in listed},
        "suites": {suite["suite"]: sum(suite[state] for state in STATES) for suite in status["suites"]},
        "paused": status["paused"],
        "waiting": {run["name"]: run["reason"] for run in status["waiting"]},
        "results": [_chosen(row, OF_RESULT) for row in as_json(root, "results", workspace)["rows"]],
        "structures": {name: _structure(root, workspace, name) for name in finished},
        "planned": {run["name"]: run["spec"] for run in as_json(root, "validate", SUITES[workspace])["runs"]},
    }


NOTED = ("queued", "paused", "failed")
STATES = ("queued", "running", "quiet", "paused", "finished", "failed", "cancelled", "dead", "damaged")


def _chosen(table: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: table[key] for key in keys}


def _run(row: dict[str, Any]) -> dict[str, Any]:
    """With a note only where it is from a file: the words for the others may change."""
    return {"status": row["status"], "note": row["note"] if row["status"] in NOTED else ""} | _chosen(row, OF_RUN)


def _queue(shown: dict[str, Any]) -> dict[str, Any]:
    """What is wanted of a run; of its launcher what was not left to the defaults."""
    launch = {key: value for key, value in shown["queue"]["launch"].items() if value}
    return _chosen(shown["queue"], OF_QUEUE) | {"launch": launch}


def _structure(root: Path, workspace: str, run: str) -> dict[str, Any]:
    shown = as_json(root, "structure", "show", run, "--in", workspace)
    trained = {candidate["name"]: candidate["p"] for candidate in shown["chosen_candidates"]}
    return _chosen(shown, OF_STRUCTURE) | {"trained": trained}

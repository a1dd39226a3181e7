"""The programs of Slurm: what they are asked, and how their answers are read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from s3tui.launchers.job_reports import Answer, Report
from s3tui.runs.records.former_job import meaning
from s3tui.system.child import surroundings

NAME = "s3tui-"  # what the names of our arrays begin with
# The fields of squeue for a job; the name comes last, as that of another user's job may hold anything.
_FIELDS = "JobArrayID:|,State:|,Reason:|,NodeList:|,exit_code:|,RestartCnt:|,Name"
# submitit's SlurmInfoWatcher asks sacct alone, which knows neither the reason nor anything at all where the cluster
# keeps no accounts. squeue lists what has ended too, for as long as Slurm remembers it (MinJobAge).
SACCT = ("sacct", "--allocations", "--array", "--parsable2", "--noheader", "--format=JobID,State,ExitCode,NodeList")
SQUEUE = ("squeue", "--me", "--states=all", "--array", "--noheader", f"--Format={_FIELDS}:|")


def report(state: str, name: str = "", task: str = "", **more: Any) -> Report:
    """What Slurm says of one job."""
    batch = name.removeprefix(NAME) if name.startswith(NAME) else ""
    return Report(state=state, batch=batch, task=int(task) if task.isdecimal() else -1, **meaning(state), **more)


def read_squeue(text: str) -> dict[str, Report]:
    """The output of squeue; lines that are none are passed over."""
    found = {}
    for line in text.split("\n"):  # a name may have any other character that ends lines somewhere
        parts = line.split("|", 6)
        if len(parts) == 7 and parts[5].isdecimal():
            job, state, reason, node, code, restarts, name = parts
            reason = "" if reason == "None" else reason
            task = job.rpartition("_")[2]
            found[job] = report(
                state, name.rstrip("|"), task, reason=reason, node=node, exit_code=_exit_code(code),
                restarts=int(restarts),
            )  # fmt: skip
    return found


def _exit_code(code: str) -> str:
    """A wait status, which is what squeue prints, as all other programs of Slurm write it: 3:0, or 0:9 for a signal."""
    return f"{int(code) >> 8}:{int(code) & 127}" if code.isdecimal() else code


def all_jobs(seconds: float) -> Answer:
    """Ask for all jobs of this user, and wait for the answer for so long."""
    code, text = call(*SQUEUE, seconds=seconds)
    return Answer(read_squeue(text)) if code == 0 else Answer(trouble=_last_line(text))


def accounts_of(ids: Iterable[str]) -> dict[str, Report]:
    """What the accounts of the cluster know of jobs that Slurm itself has forgotten; nothing where it keeps none."""
    ids = list(ids)
    code, text = call(*SACCT, f"--jobs={','.join(ids)}", seconds=10.0)
    return read_sacct(text, ids) if code == 0 else {}


def read_sacct(text: str, wanted: Iterable[str]) -> dict[str, Report]:
    """The output of sacct; `CANCELLED by 1000` is a state there."""
    wanted = set(wanted)
    lines = (line.split("|") for line in text.split("\n"))
    return {
        parts[0]: report(parts[1].split()[0], node=parts[3], exit_code=parts[2])
        for parts in lines
        if len(parts) == 4 and parts[0] in wanted and parts[1]
    }


def why_no_slurm() -> str:
    """Why nothing can be given to Slurm here, empty where it answers."""
    if shutil.which("sbatch") is None:
        return "there is no Slurm on this machine: sbatch is not found"
    code, text = call("sinfo", "--noheader", "--format=%R")
    return f"Slurm does not answer: {_last_line(text)}" if code else ""


def partitions() -> list[str]:
    """The partitions that this cluster has for us."""
    code, text = call("sinfo", "--noheader", "--format=%R")
    return [] if code else list(dict.fromkeys(text.split()))


def call(*command: str, seconds: float = 30.0) -> tuple[int, str]:
    """Run a program of Slurm; gives its exit code and what it printed, 127 where there is none."""
    try:
        done = subprocess.run(
            command, check=False, timeout=seconds,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **surroundings(),
        )  # fmt: skip
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} does not answer within {seconds:g} s"
    return done.returncode, done.stdout.decode(errors="replace").strip()


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "squeue failed without a message"

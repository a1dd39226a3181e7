"""Asks Slurm about all jobs of this user at once, in the background and every few seconds at most."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO

from s3tui.runs.records.slurm_job import GONE
from s3tui.system.child import surroundings

ASK_SECONDS = 3.0  # between two questions
# The fields of squeue that tell of a job; the name comes last, as that of a stranger's may hold anything.
_FIELDS = "JobArrayID:|,State:|,Reason:|,NodeList:|,exit_code:|,RestartCnt:|,Name"
# submitit's SlurmInfoWatcher asks sacct alone, which knows neither the reason nor anything at all where the cluster
# keeps no accounts. squeue tells of what has ended too, for as long as Slurm remembers it (MinJobAge).
SACCT = ("sacct", "--allocations", "--array", "--parsable2", "--noheader", "--format=JobID,State,ExitCode,NodeList")
SQUEUE = ("squeue", "--me", "--states=all", "--array", "--noheader", f"--Format={_FIELDS}:|")


@dataclass(frozen=True)
class Told:
    """What Slurm says of one job."""

    state: str
    reason: str = ""
    node: str = ""
    exit_code: str = ""
    restarts: int = 0
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """All jobs of this user by their id; `trouble` says why there is no answer."""

    jobs: Mapping[str, Told] = field(default_factory=dict)
    trouble: str = ""


def read_squeue(text: str) -> dict[str, Told]:
    """The output of squeue; lines that are none are passed over."""
    found = {}
    for line in text.split("\n"):  # a name may have any other character that ends lines somewhere
        parts = line.split("|", 6)
        if len(parts) == 7 and parts[5].isdecimal():
            job, state, reason, node, code, restarts, name = parts
            reason = "" if reason == "None" else reason
            found[job] = Told(state, reason, node, _exit_code(code), int(restarts), name.rstrip("|"))
    return found


def _exit_code(code: str) -> str:
    """A wait status, which is what squeue prints, as all other programs of Slurm write it: 3:0, or 0:9 for a signal."""
    return f"{int(code) >> 8}:{int(code) & 127}" if code.isdecimal() else code


class Asking:
    """One question at a time, whose answer is taken once it is there: nobody waits for a controller that is down."""

    def __init__(self, every: float = ASK_SECONDS) -> None:
        self._every = every
        self._asked_at = float("-inf")
        self._question: subprocess.Popen[bytes] | None = None
        self._text: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long-lived as this, and nameless

    def poll(self) -> Answer | None:
        """The answer to the last question; asks the next one when it is time. None while there is nothing new."""
        if self._question is None:
            if time.monotonic() - self._asked_at >= self._every:
                self._ask()
            return None
        if self._question.poll() is None:
            return None
        code, self._question = self._question.returncode, None
        self._text.seek(0)
        text = self._text.read().decode(errors="replace")
        return Answer(read_squeue(text)) if code == 0 else Answer(trouble=_last_line(text))

    def hurry(self) -> None:
        """Ask at once the next time: something was just done that changes the answer."""
        self._asked_at = float("-inf")

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        self._text.seek(0)
        self._text.truncate()
        try:
            self._question = subprocess.Popen(
                SQUEUE, stdin=subprocess.DEVNULL, stdout=self._text, stderr=subprocess.STDOUT, start_new_session=True,
                **surroundings(),
            )  # fmt: skip
        except OSError as error:
            raise OSError(f"squeue cannot be started: {error.strerror}") from error


def ask_now(seconds: float) -> Answer:
    """Ask, and wait for the answer for so long."""
    code, text = call(*SQUEUE, seconds=seconds)
    return Answer(read_squeue(text)) if code == 0 else Answer(trouble=_last_line(text))


def accounts_of(ids: Iterable[str]) -> dict[str, Told]:
    """What the accounts of the cluster know of jobs that Slurm itself has forgotten; GONE where it keeps none."""
    ids = list(ids)
    told = dict.fromkeys(ids, Told(GONE))
    code, text = call(*SACCT, f"--jobs={','.join(ids)}", seconds=10.0)
    return told | read_sacct(text, told) if code == 0 else told


def read_sacct(text: str, wanted: Iterable[str]) -> dict[str, Told]:
    """The output of sacct; `CANCELLED by 1000` is a state there."""
    wanted = set(wanted)
    lines = (line.split("|") for line in text.split("\n"))
    return {
        parts[0]: Told(parts[1].split()[0], "", parts[3], parts[2])
        for parts in lines
        if len(parts) == 4 and parts[0] in wanted and parts[1]
    }


def why_no_slurm() -> str:
    """Why nothing can be given to Slurm here, empty where it answers."""
    if shutil.which("sbatch") is None:
        return "there is no Slurm on this machine: sbatch is not found"
    code, told = call("sinfo", "--noheader", "--format=%R")
    return f"Slurm does not answer: {_last_line(told)}" if code else ""


def partitions() -> list[str]:
    """The partitions that this cluster has for us."""
    code, told = call("sinfo", "--noheader", "--format=%R")
    return [] if code else list(dict.fromkeys(told.split()))


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
    return lines[-1] if lines else "squeue failed and told nothing"

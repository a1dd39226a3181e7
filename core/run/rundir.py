"""The one place where the file names of a run directory are known.

| file | content |
|------|---------|
| `spec.json` | the RunSpec, frozen when the run is created; a structure that another run is to find, when it starts |
| `events.jsonl` | what happened, append only |
| `log.txt` | stdout and stderr of the worker |
| `structure.json` | every candidate with its p, and which are chosen |
| `delta.safetensors` | the tensors that were trained |
| `result.json` | scores, parameters, budget, times, versions |
| `summary.json` | the little that a list of many runs shows |
| `checkpoint/` | what a stopped run goes on from |
| `heartbeat` | touched every few seconds by a thread of the worker |
| `queue.json` | what is wanted of the run: queued, held or cancelled; priority, retries |
| `process.json` | which process works on it, or did last; written by its supervisor |
| `exit.json` | how that process ended; written by its supervisor |
| `job.json` | its job on a cluster, as the launcher reported it last; `slurm.json` where version 0.1 wrote it |
| `mirror/` | how far each experiment tracker was told of it, and what those that write files wrote |
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from core.run.errors import RunDirError
from core.run.fields import WrongError, read
from core.run.jsontext import LONGEST_BYTES, parse_json

T = TypeVar("T")


@dataclass(frozen=True)
class RunDir:
    """The files of one run."""

    path: Path

    @property
    def spec(self) -> Path:
        """The settings, as the run was created with them."""
        return self.path / "spec.json"

    @property
    def events(self) -> Path:
        """The event stream."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the worker printed."""
        return self.path / "log.txt"

    @property
    def structure(self) -> Path:
        """The candidates and the choice."""
        return self.path / "structure.json"

    @property
    def delta(self) -> Path:
        """The trained tensors."""
        return self.path / "delta.safetensors"

    @property
    def result(self) -> Path:
        """What the run came to."""
        return self.path / "result.json"

    @property
    def summary(self) -> Path:
        """A few lines for lists."""
        return self.path / "summary.json"

    @property
    def checkpoint(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoint"

    @property
    def heartbeat(self) -> Path:
        """Touched every few seconds for as long as the worker's process can do anything at all."""
        return self.path / "heartbeat"

    @property
    def queue(self) -> Path:
        """What is wanted of the run."""
        return self.path / "queue.json"

    @property
    def process(self) -> Path:
        """The process that works on the run, or was the last to do so."""
        return self.path / "process.json"

    @property
    def exit(self) -> Path:
        """How the last process ended."""
        return self.path / "exit.json"

    @property
    def job(self) -> Path:
        """The job that runs it on a cluster, as its launcher reported it last."""
        return self.path / "job.json"

    @property
    def former_job(self) -> Path:
        """The same as version 0.1 wrote it, when there was one kind of cluster: its name is that of the launcher."""
        return self.path / "slurm.json"

    @property
    def mirror(self) -> Path:
        """The folder of what experiment trackers are told."""
        return self.path / "mirror"

    def exists(self) -> bool:
        """Whether a run was created here."""
        return self.spec.exists()

    def create(self, spec: dict[str, Any]) -> None:
        """Make the directory and freeze the settings; raises RunDirError where a run is there already."""
        if self.exists():
            raise RunDirError(f"{self.path} holds a run already", "use --fresh to replace it, or another workspace")
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.spec, spec)


def write_json(path: Path, data: Any) -> None:
    """Replace a JSON file atomically: readers see the old content or the new, never half of it."""
    write_bytes(path, json_bytes(data))


def json_bytes(data: Any) -> bytes:
    """The content of a JSON file."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably; its permissions are those that the user's umask gives."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_leftovers(*paths: Path) -> None:
    """Delete what `write_bytes` to these files left behind where a kill came in between; nobody may be writing them."""
    for path in paths:
        for leftover in path.parent.glob(f".{path.name}.*"):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do it
            raise
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """Read a JSON file within limits; raises RunDirError that names the file where it is missing or damaged."""
    try:
        return parse_json(_content(path))
    except FileNotFoundError:
        raise RunDirError(f"{path} is missing", "is this a run directory?") from None
    except (OSError, ValueError) as error:
        raise RunDirError(f"{path} cannot be read", getattr(error, "strerror", None) or str(error)) from None


def _content(path: Path) -> bytes:
    """What is in a file, up to a byte more than may be; without Python's own files, as lists read thousands."""
    handle, size = _open(path)
    try:
        # A file that is replaced keeps its size; one that grows is damaged anyway.
        return os.read(handle, min(size, LONGEST_BYTES + 1))
    finally:
        os.close(handle)


def open_plain(path: Path) -> BinaryIO:
    """A file to read; raises OSError where it is none, as a pipe is, for which one would wait, or an endless device."""
    return open(_open(path)[0], "rb")  # noqa: PTH123 - of an open file


def _open(path: Path) -> tuple[int, int]:
    """A regular file, opened, and its size."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return handle, found.st_size


def read_record(path: Path, kind: Callable[..., T]) -> T:
    """A JSON file as a value of a type; raises RunDirError that names file and field where one is missing or wrong."""
    data = read_json(path)
    try:
        return read(kind, data)
    except WrongError as error:
        raise RunDirError(f"{path} is damaged", str(error)) from None


def read_record_if_there(path: Path, kind: Callable[..., T]) -> T | None:
    """The same; None where there is no such file."""
    try:
        return read_record(path, kind)
    except RunDirError:
        if os.path.lexists(path):
            raise
        return None

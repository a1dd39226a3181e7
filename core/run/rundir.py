"""The files of a run directory: their names, and reading and writing them safely.

| file | content |
|------|---------|
| `spec.json` | the RunSpec, fixed when the run is created; a structure found by another run is filled in at the start |
| `events.jsonl` | the event stream, append only |
| `log.txt` | stdout and stderr of the worker |
| `search.json` | p, order and structure that its search has found, or another run's of the same search |
| `searched.safetensors` | the weights that this search has learned for the selected candidates, and the head |
| `structure.json` | every candidate with its p, and which are chosen |
| `delta.safetensors` | the trained tensors |
| `predictions.parquet` | the prediction for each row of the test split, beside the target |
| `result.json` | scores, parameters, budget, times, versions |
| `summary.json` | the few values that a list of many runs shows |
| `checkpoint/` | checkpoints, from which a stopped run resumes |
| `heartbeat` | touched every few seconds by a thread of the worker |
| `limit.json` | how far the run may go for now, if it is an arm of a race |
| `queue.json` | the requested state of the run: queued, held or cancelled; priority, retries |
| `process.json` | the process that executes it, or did last; written by its supervisor |
| `exit.json` | how that process ended; written by its supervisor |
| `job.json` | its job on a cluster, as last reported by its launcher; `slurm.json` if version 0.1 wrote it |
| `mirror/` | how far each experiment tracker has received its events, and the files of trackers that write files |
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


@dataclass(frozen=True, slots=True)
class RunDir:
    """The files of one run."""

    path: Path

    @property
    def spec(self) -> Path:
        """The settings with which the run was created."""
        return self.path / "spec.json"

    @property
    def events(self) -> Path:
        """The event stream."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """Output of the worker."""
        return self.path / "log.txt"

    @property
    def search(self) -> Path:
        """What its search has found."""
        return self.path / "search.json"

    @property
    def searched(self) -> Path:
        """The weights that the search has learned."""
        return self.path / "searched.safetensors"

    @property
    def structure(self) -> Path:
        """The candidates, and which of them are chosen."""
        return self.path / "structure.json"

    @property
    def delta(self) -> Path:
        """The trained tensors."""
        return self.path / "delta.safetensors"

    @property
    def predictions(self) -> Path:
        """The predictions for the test split."""
        return self.path / "predictions.parquet"

    @property
    def result(self) -> Path:
        """The results."""
        return self.path / "result.json"

    @property
    def summary(self) -> Path:
        """The summary that lists of runs read."""
        return self.path / "summary.json"

    @property
    def checkpoint(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoint"

    @property
    def heartbeat(self) -> Path:
        """Touched every few seconds while the worker's process is alive and not frozen."""
        return self.path / "heartbeat"

    @property
    def limit(self) -> Path:
        """How far the run may go for now."""
        return self.path / "limit.json"

    @property
    def queue(self) -> Path:
        """The requested state of the run."""
        return self.path / "queue.json"

    @property
    def process(self) -> Path:
        """The process that executes the run, or did last."""
        return self.path / "process.json"

    @property
    def exit(self) -> Path:
        """How the last process ended."""
        return self.path / "exit.json"

    @property
    def job(self) -> Path:
        """Its job on a cluster, as last reported by the launcher."""
        return self.path / "job.json"

    @property
    def former_job(self) -> Path:
        """The same as version 0.1 wrote it, which knew one kind of cluster; its name is that of the launcher."""
        return self.path / "slurm.json"

    @property
    def mirror(self) -> Path:
        """The folder with the state and files of experiment trackers."""
        return self.path / "mirror"

    def exists(self) -> bool:
        """Whether a run was created here."""
        return self.spec.exists()

    def create(self, spec: dict[str, Any]) -> None:
        """Create the directory and write the settings; raises RunDirError if it holds a run already."""
        if self.exists():
            raise RunDirError(f"{self.path} holds a run already", "use --fresh to replace it, or another workspace")
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.spec, spec)


def write_json(path: Path, data: Any) -> None:
    """Replace a JSON file atomically: readers see the old content or the new one, never a part."""
    write_bytes(path, json_bytes(data))


def json_bytes(data: Any) -> bytes:
    """The content of a JSON file."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably, with the permissions of the user's umask."""
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
    """Delete temporary files that a killed `write_bytes` to these paths left; nobody may be writing them now."""
    for path in paths:
        for leftover in path.parent.glob(f".{path.name}.*"):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that the new name of a file is durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system does not support it
            raise
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """Read a JSON file within limits; raises RunDirError that names the file if it is missing or damaged."""
    try:
        return parse_json(_content(path))
    except FileNotFoundError:
        raise RunDirError(f"{path} is missing", "is this a run directory?") from None
    except (OSError, ValueError) as error:
        raise RunDirError(f"{path} cannot be read", getattr(error, "strerror", None) or str(error)) from None


def _content(path: Path) -> bytes:
    """The content of a file, up to one byte beyond the limit; uses `os` calls for speed, as lists read thousands."""
    handle, size = _open(path)
    try:
        # An open file keeps its size when it is replaced; one that grows is damaged anyway.
        return os.read(handle, min(size, LONGEST_BYTES + 1))
    finally:
        os.close(handle)


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading; raises OSError for others, such as pipes, which block, or endless devices."""
    return open(_open(path)[0], "rb")  # noqa: PTH123 - from a file descriptor


def _open(path: Path) -> tuple[int, int]:
    """The descriptor of a regular file opened for reading, and its size."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return handle, found.st_size


def read_record(path: Path, kind: Callable[..., T]) -> T:
    """Read and validate a JSON file as a value of a type; raises RunDirError that names the file and the field."""
    data = read_json(path)
    try:
        return read(kind, data)
    except WrongError as error:
        raise RunDirError(f"{path} is damaged", str(error)) from None


def read_record_if_there(path: Path, kind: Callable[..., T]) -> T | None:
    """The same; None if there is no such file."""
    if not os.path.lexists(path):
        return None  # of most runs of a list one file or another; an exception would take several times as long
    try:
        return read_record(path, kind)
    except RunDirError:
        if not os.path.lexists(path):  # it was deleted between the two looks
            return None
        raise

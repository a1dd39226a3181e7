"""The event stream of a run: one JSON object per line in `events.jsonl`.

Every line has `v` (version of the format), `seq` (a counter within the file), `t` (wall time, seconds since the epoch)
and `type`; the other fields are those of the type's class below. A run that is not killed ends with `finished` or
`failed`. Readers parse complete lines, keep an incomplete last line until it is completed, and count invalid lines.

A new type or a new field (with a default, so that old files stay readable) does not change the version: older readers
ignore what they do not know. The version rises when an older reader would misunderstand a line.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from core.run.fields import Between, Count, Like, Moment, Share, event_reader

VERSION = 1
# The phases of steps, in their order; the cut is there if the selection needs the network.
STEPPED = ("search", "cut", "retrain")
LONGEST_LINE = 2**24  # bytes; a longer line without an end is damage, and is not kept in memory


@dataclass(frozen=True)
class Event:
    """The base of all events: the number within the file, and the time."""

    type: ClassVar[str] = ""
    seq: Annotated[int, Between(-1, 2**63 - 1)] = field(default=-1, kw_only=True)
    t: Moment = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class Started(Event):
    """A worker starts the run, or resumes it after `resumed_step` of `resumed_phase`.

    Events of later steps from an earlier attempt are void then: the new attempt repeats those steps.
    """

    type: ClassVar[str] = "started"
    spec: str
    attempt: Count
    pid: Count
    device: str
    precision: str
    versions: dict[str, str]
    resumed_phase: str = ""
    resumed_step: Count = 0


def _candidate() -> type[Any]:
    from core.run.structure import Candidate  # imported here, as most readers of events do not need it

    return Candidate


@dataclass(frozen=True)
class Space(Event):
    """The candidates, once, in the order of every `p` vector; `budget` in parameters (None: no limit)."""

    type: ClassVar[str] = "space"
    candidates: list[Annotated[dict[str, Any], Like(_candidate)]]
    parameters: Count
    backbone_parameters: Count
    head_parameters: Count
    budget: Count | None


@dataclass(frozen=True)
class Data(Event):
    """The data of a run: the rows of each split, and the classes (none for regression and free text).

    `left_out` counts the rows of the files that cannot be used, by what is wrong with them; `notes` are sentences on
    how the files were read.
    """

    type: ClassVar[str] = "data"
    rows: dict[str, Count]
    labels: list[str]
    left_out: dict[str, Count] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Phase(Event):
    """A phase (`search`, `cut`, `retrain` or `test`) of `total` steps begins or is resumed, or its `total` changes.

    A resumed attempt continues after the `resumed_step` of its `started` event.
    """

    type: ClassVar[str] = "phase"
    phase: str
    total: Count


@dataclass(frozen=True)
class Step(Event):
    """One optimisation step, or in the cut one loss of the network under other gates.

    `train_loss` and `validation_loss` are the inner and outer losses, `*_norm` the gradient norms before clipping,
    `expected` = sum n_i p_i, `sampled` = sum n_i z_i of the outer step, `selected` the size of the structure that would
    be selected now (all three in parameters), `shift` the solved zeta. Fields about gates are None in retraining,
    `validation_loss` also in a search of one level, and `shift` also with other strategies than `shift`. The cut has a
    `validation_loss` and `selected` alone.
    """

    type: ClassVar[str] = "step"
    phase: str
    step: Count
    train_loss: float | None
    gradient_norm: float | None
    learning_rate: float | None
    validation_loss: float | None = None
    alpha_gradient_norm: float | None = None
    alpha_learning_rate: float | None = None
    expected: float | None = None
    sampled: float | None = None
    selected: Count | None = None
    shift: float | None = None


@dataclass(frozen=True)
class Gates(Event):
    """All gate probabilities, in the order of `space`; written a few times a second at most.

    `order` holds the candidates in the order in which the structure selected now would take them, as far as they fit;
    None if it goes by p.
    """

    type: ClassVar[str] = "gates"
    step: Count
    p: list[Share]
    order: list[Count] | None = None


@dataclass(frozen=True)
class Eval(Event):
    """Metrics of one split; the first of `metrics` is the score. `best`: whether it is the best score so far."""

    type: ClassVar[str] = "eval"
    phase: str
    step: Count
    split: str
    metrics: dict[str, float]
    best: bool


@dataclass(frozen=True)
class EndedEarly(Event):
    """A phase ends early, after `step`; `reason` says why, in words."""

    type: ClassVar[str] = "ended-early"
    phase: str
    step: Count
    reason: str


@dataclass(frozen=True)
class SearchTaken(Event):
    """The run takes p and the structure from run `source`, which has done the same search in `steps` and `seconds`."""

    type: ClassVar[str] = "search-taken"
    source: str
    steps: Count
    seconds: float


@dataclass(frozen=True)
class StructureChosen(Event):
    """The structure is selected: indices into `space`, and the number of parameters that it trains.

    `prunings_left` counts the prunings that the search had no steps for; None if it does not prune.
    """

    type: ClassVar[str] = "structure"
    selected: list[Count]
    parameters: Count
    prunings_left: Count | None = None


@dataclass(frozen=True)
class Checkpoint(Event):
    """A checkpoint was written; a resumed run continues after `step` of `phase`."""

    type: ClassVar[str] = "checkpoint"
    phase: str
    step: Count


@dataclass(frozen=True)
class Finished(Event):
    """The run succeeded; `score` is the first test metric, `seconds` the duration of this attempt."""

    type: ClassVar[str] = "finished"
    score: float
    metrics: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Failed(Event):
    """The run ended with an error: its kind, what happened, what to do."""

    type: ClassVar[str] = "failed"
    kind: str
    message: str
    hint: str


TYPES: dict[str, type[Event]] = {
    cls.type: cls
    for cls in (
        Started, Data, Space, Phase, Step, Gates, Eval, EndedEarly, SearchTaken, StructureChosen, Checkpoint, Finished,
        Failed,
    )
}  # fmt: skip


# Computed once, as a reader may follow many files with many lines a second.
_STEP = b'"type":"step"'
_DECODE = json.JSONDecoder().decode


def score_of(metrics: Mapping[str, float]) -> float:
    """The score: the first of the metrics."""
    return next(iter(metrics.values()))


def to_line(event: Event, seq: int, t: float) -> bytes:
    """The event as one line of JSON. NaN and infinities, which JSON does not have, are written as null."""
    body = {"v": VERSION, "type": event.type} | asdict(event) | {"seq": seq, "t": t}
    try:
        text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(body), separators=(",", ":"))
    return text.encode() + b"\n"


def _without_nan(value: Any) -> Any:
    """The same data with None for NaN and infinities."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return value


def from_line(line: bytes) -> Event | None:
    """Parse one line; None if it is not a valid event or of a later version.

    Unknown fields are dropped; NaN and infinities, written as null, are read as None.
    """
    try:
        body = _DECODE(line.decode())
        if body.get("v", VERSION) > VERSION:
            return None
        event: Event = event_reader(TYPES[body["type"]])(body)
        return event
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class EventWriter:
    """Appends events to a file, each with a single write, so that a kill leaves at most one incomplete line.

    An incomplete last line, of an earlier attempt or a failed write, is ended with a newline first. `seq` continues
    from the last line of the file.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")
        self._torn = False
        # After the newline, which may have completed the last line.
        self._seq = 1 + max((event.seq for event in read_events(path)[0]), default=-1)

    def write(self, event: Event) -> None:
        """Append one event. Raises OSError, for example if the disk is full; a later call may succeed again."""
        line = (b"\n" if self._torn else b"") + to_line(event, self._seq, self._clock())
        self._torn = True
        while line:
            line = line[os.write(self._fd, line) :]
        self._torn = False
        self._seq += 1

    def close(self) -> None:
        """Close the file; the writer cannot be used afterwards."""
        os.close(self._fd)


class EventReader:
    """Follows an event file: each `poll` returns the new events; `skipped` counts invalid lines.

    `is_behind`: whether the file held more at the last poll than the limit allowed to read.

    Unless `every_step`, a step between two other steps of the same poll is skipped unparsed: for readers that need the
    current state of a run and not its history.

    An incomplete last line is kept until its rest is written. A missing file counts as empty; a file that became
    shorter or was replaced is read from the start.
    """

    def __init__(self, path: Path, every_step: bool = True) -> None:
        self._path, self._every_step = path, every_step
        self._handle: int | None = None
        self._file = (0, 0)  # device and inode of the file that was read
        self._offset = 0
        self._torn = b""
        self.skipped = 0
        self.is_behind = False

    def poll(self, limit: int | None = None) -> list[Event]:
        """The events of all lines completed since the last call; reads at most `limit` bytes."""
        if not self._is_open():
            return []
        assert self._handle is not None
        there = max(0, os.fstat(self._handle).st_size - self._offset)
        data = os.pread(self._handle, there if limit is None else min(limit, there), self._offset)
        self._offset += len(data)
        self.is_behind = len(data) < there
        *lines, torn = (self._torn + data).split(b"\n")
        # A line that is longer cannot be an event.
        self._torn = torn if len(torn) <= LONGEST_LINE else b"\0"
        return list(self._parse(lines if self._every_step else _without_passed_steps(lines)))

    def close(self) -> None:
        """Close the file; the next poll reopens it and continues where this one ended."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _is_open(self) -> bool:
        """Open the file if it is not open, or if another file has replaced it; whether there is one."""
        try:
            there = self._path.stat()
        except OSError:
            return self._handle is not None
        if not stat.S_ISREG(there.st_mode):
            return False
        same = (there.st_dev, there.st_ino) == self._file and there.st_size >= self._offset
        if same and self._handle is not None:
            return True
        self.close()
        try:
            self._handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        if not same:
            self._file, self._offset, self._torn = (there.st_dev, there.st_ino), 0, b""
        return True

    def _parse(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            event = from_line(line) if line else None
            if event is not None:
                yield event
            elif line.strip():
                self.skipped += 1


def _without_passed_steps(lines: list[bytes]) -> list[bytes]:
    """The lines without steps between two others; the marker cannot occur in a string of an event, as it has quotes."""
    steps = [False, *(_STEP in line for line in lines), False]
    return [
        line
        for line, before, here, after in zip(lines, steps, steps[1:], steps[2:], strict=False)
        if not (before and here and after)
    ]


def read_events(path: Path) -> tuple[list[Event], int]:
    """All events of a file, and the number of invalid lines."""
    reader = EventReader(path)
    events = reader.poll()
    reader.close()
    return events, reader.skipped

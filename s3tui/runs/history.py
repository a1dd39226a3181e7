"""The history of a run, reduced from its events for plotting: curves of each phase, gates over time, the structure.

Memory is bounded for runs of any length: curves are downsampled to their extremes, and when there are too many frames
of the gates, every second one is dropped.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from core.run.events import STEPPED, Event, Gates, Space, Started, Step, StructureChosen
from core.run.structure import Candidate, read_candidate
from s3tui.runs.curves import Curve, Series
from s3tui.runs.run_state import RunState, fold

# The numbers in a step event that are plotted, and logged to trackers.
CURVES = (
    "train_loss", "validation_loss", "gradient_norm", "alpha_gradient_norm", "learning_rate", "alpha_learning_rate",
    "expected", "sampled", "selected", "shift",
)  # fmt: skip
FRAMES = 512  # of the gates, at most
FRAME_BYTES = 8 * 2**20  # for all frames of a run, at most
NO_CURVES: Mapping[str, Curve] = {}


@dataclass(frozen=True)
class Frame:
    """The gate probabilities after a step, in the order of the space, and the shift of that step.

    `order` holds the candidates in the order in which the structure takes them; None if it goes by p.
    """

    step: int
    p: array[float]
    shift: float | None = None
    order: array[int] | None = None

    @property
    def bytes(self) -> int:
        """How much memory it takes, about."""
        return sum(values.itemsize * len(values) for values in (self.p, self.order) if values)

    def alpha(self, index: int, temperature: float) -> float | None:
        """alpha_i = zeta + beta logit p_i; None if the shift is unknown or p is 0 or 1."""
        p = self.p[index]
        if self.shift is None or not 0 < p < 1:
            return None
        return self.shift + temperature * math.log(p / (1 - p))


class Frames:
    """The gates over time: a bounded number of frames, evenly spaced, and the latest one."""

    def __init__(self) -> None:
        self._frames: list[tuple[int, Frame]] = []  # with the number of each among all frames of the run
        self._every = 1
        self._received = 0

    def __iter__(self) -> Iterator[Frame]:
        return (frame for _, frame in self._frames)

    def append(self, frame: Frame) -> None:
        """Add a frame; it replaces the last one if that is of the same step."""
        if self._frames and self._frames[-1][1].step == frame.step:
            self._frames[-1] = (self._frames[-1][0], frame)
            return
        if self._frames and self._frames[-1][0] % self._every:
            self._frames.pop()  # it was kept only as the latest
        self._frames.append((self._received, frame))
        self._received += 1
        if len(self._frames) > max(16, min(FRAMES, FRAME_BYTES // max(1, frame.bytes))):
            self._every *= 2
            self._frames = [at for at in self._frames if at[0] % self._every == 0 or at[1] is frame]

    def cut(self, last: int) -> None:
        """Remove the frames of later steps."""
        self._frames = [at for at in self._frames if at[1].step <= last]


@dataclass(frozen=True)
class HistoryView:
    """An immutable snapshot of a run's history.

    `phases` are the curves of each phase over the step, by the names in CURVES, and `seconds` of work over the step.
    `candidates` are empty if nothing is chosen, or before they are known; `selected` is None before the structure is
    selected. `skipped` counts invalid lines of the file.
    """

    state: RunState = field(default_factory=RunState)
    candidates: tuple[Candidate, ...] = ()
    phases: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    selected: tuple[int, ...] | None = None
    skipped: int = 0

    def curve(self, phase: str, name: str) -> Curve:
        """A curve of a phase; empty if there is none."""
        return self.phases.get(phase, NO_CURVES).get(name, Curve())

    def seconds_at(self, phase: str, step: int) -> float | None:
        """The working time in seconds at which a step of a phase was made."""
        seconds = self.curve(phase, "seconds")
        return seconds.at(max(step, seconds.x[0])) if seconds else None


class History:
    """Builds the history of a run from its events, in their order."""

    def __init__(self) -> None:
        self.state = RunState()
        self._candidates: tuple[Candidate, ...] = ()
        self._phases: dict[str, dict[str, Series]] = {}
        self._frames = Frames()
        self._selected: tuple[int, ...] | None = None
        self._shift: tuple[int, float | None] = (-1, None)
        self._clock = (0.0, 0.0)  # the start of this attempt, and the seconds of work of earlier attempts

    def add(self, event: Event) -> None:
        """Add the next event."""
        self.state = fold(self.state, event)
        if isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Gates):
            self._gates(event)
        elif isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Space):
            self._candidates = tuple(map(read_candidate, event.candidates))
        elif isinstance(event, StructureChosen):
            self._selected = tuple(i for i in event.selected if i < len(self._candidates))

    def view(self, skipped: int = 0) -> HistoryView:
        """The history so far."""
        phases = {
            phase: MappingProxyType({name: one.curve() for name, one in curves.items()})
            for phase, curves in self._phases.items()
        }
        frames = tuple(self._frames)
        return HistoryView(self.state, self._candidates, MappingProxyType(phases), frames, self._selected, skipped)

    def _step(self, event: Step) -> None:
        curves = self._phases.setdefault(event.phase, {})
        values = {name: getattr(event, name) for name in CURVES}
        began, before = self._clock
        values["seconds"] = before + max(0.0, event.t - began)
        for name, value in values.items():
            if value is not None:
                curves.setdefault(name, Series()).append(event.step, value)
        self._shift = (event.step, event.shift)

    def _gates(self, event: Gates) -> None:
        if len(event.p) == len(self._candidates):
            at, shift = self._shift
            frame = Frame(event.step, array("f", event.p), shift if at == event.step else None, self._order(event))
            self._frames.append(frame)

    def _order(self, event: Gates) -> array[int] | None:
        """The order of the candidates, where the event has one of these candidates."""
        order = event.order
        return None if order is None or max(order, default=0) >= len(self._candidates) else array("I", order)

    def _started(self, event: Started) -> None:
        """Remove steps after the one from which this attempt resumes."""
        phase, step = event.resumed_phase, event.resumed_step
        before = STEPPED[: STEPPED.index(phase) + 1] if phase in STEPPED else ()
        kept = [name for name in self._phases if name in before]
        self._phases = {name: self._phases[name] for name in kept}
        for series in self._phases.get(phase, {}).values():
            series.cut(step)
        if phase in ("", "search"):
            self._frames.cut(step if kept else -1)
        if phase in ("", "search", "cut"):
            self._selected = None
        seconds = [curves["seconds"].last() for curves in self._phases.values() if "seconds" in curves]
        self._clock = (event.t, max((s for s in seconds if s is not None), default=0.0))

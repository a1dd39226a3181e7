"""Plots of a run's history as plain data, which compare equal if nothing has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.run.events import STEPPED
from s3tui.runs.curves import Curve, smoothed
from s3tui.runs.history import HistoryView
from s3tui.structures.selection_history import Choice, entropies, overlaps

STEP, TRAINED = "step", "trained parameters"  # labels of x axes
WHOLE = (STEP, TRAINED)  # of these that have whole numbers only
FADED = -1  # of the colours of lines
SMOOTHINGS = (0.0, 0.6, 0.9, 0.97)


@dataclass(frozen=True)
class Trace:
    """A line, or points if `dots`; a `plain` line has no marks on its points.

    `colour` is an index into the palette; a line in `FADED` is drawn as the axes are, and has no place in the legend.
    """

    label: str
    curve: Curve
    colour: int = 0
    dots: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Figure:
    """A plot: traces over x. `level` is a dashed line with its name, `borders` are those x that part phases.

    Traces without a label are not in the legend.
    """

    title: str
    traces: tuple[Trace, ...]
    x_label: str = STEP
    level: tuple[float, str] | None = None
    borders: tuple[float, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(trace.curve for trace in self.traces)

    @property
    def legend(self) -> tuple[Trace, ...]:
        """The traces that are named; one alone needs no name."""
        named = tuple(trace for trace in self.traces if trace.label and trace.colour != FADED)
        return named if len(named) > 1 or self.level is not None else ()


@dataclass(frozen=True)
class View:
    """The view settings of plots: the phase (empty for all), scale, smoothing, and the visible part of x.

    `low` and `high` are shares of the whole range of x.
    """

    phase: str = ""
    log: bool = False
    smoothing: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def zoomed(self, factor: float) -> View:
        """Zoom in (factor < 1) or out; the right end, where a live run continues, stays."""
        width = min(1.0, max(0.01, (self.high - self.low) * factor))
        high = max(self.high, width)
        return replace(self, low=max(0.0, high - width), high=high)

    def panned(self, by: float) -> View:
        """Move by a share of the visible range."""
        width = self.high - self.low
        low = min(1.0 - width, max(0.0, self.low + by * width))
        return replace(self, low=low, high=low + width)

    def smoother(self) -> View:
        """The next strength of smoothing, then none."""
        place = (SMOOTHINGS.index(self.smoothing) + 1) % len(SMOOTHINGS)
        return replace(self, smoothing=SMOOTHINGS[place])

    def next_phase(self, phases: Sequence[str]) -> View:
        """Another phase, or all of them."""
        known = ["", *phases]
        place = known.index(self.phase) + 1 if self.phase in known else 0
        return replace(self, phase=known[place % len(known)], low=0.0, high=1.0)

    def __str__(self) -> str:
        parts = [self.phase or "all phases", "log" if self.log else "linear"]
        parts += [f"smoothed {self.smoothing:g}"] if self.smoothing else []
        parts += [f"{self.high - self.low:.0%} of x"] if self.high - self.low < 1 else []
        return ", ".join(parts)


def losses(history: HistoryView, view: View) -> Figure:
    """Train (inner) and validation (outer) loss."""
    return _of_steps("loss", history, view, (("train", "train_loss"), ("validation", "validation_loss")))


def gradients(history: HistoryView, view: View) -> Figure:
    """The gradient norm of the weights before clipping."""
    return _of_steps("gradient norm of weights", history, view, (("weights", "gradient_norm"),))


def gate_gradients(history: HistoryView, view: View) -> Figure:
    """The gradient norm of the gates before clipping."""
    return _of_steps("gradient norm of gates", history, view, (("gates", "alpha_gradient_norm"),))


def rates(history: HistoryView, view: View) -> Figure:
    """The learning rate of the weights."""
    return _of_steps("learning rate of weights", history, replace(view, smoothing=0.0), (("weights", "learning_rate"),))


def gate_rates(history: HistoryView, view: View) -> Figure:
    """The learning rate of the gates."""
    names = (("gates", "alpha_learning_rate"),)
    return _of_steps("learning rate of gates", history, replace(view, smoothing=0.0), names)


def expected(history: HistoryView, view: View) -> Figure:
    """Expected and selected parameters against the budget."""
    # The noisy one first, so that it hides none of the others.
    names = (("sampled", "sampled"), ("selected", "selected"), ("expected", "expected"))
    figure = _of_steps("parameters", history, replace(view, phase="search"), names)
    cap = history.state.budget
    return replace(figure, level=(cap, "budget") if cap is not None else None)


def shift(history: HistoryView, view: View) -> Figure:
    """The solved shift of the gates."""
    return _of_steps("shift", history, replace(view, phase="search", log=False), (("shift", "shift"),))


def steadiness(choices: Sequence[Choice]) -> Figure:
    """The overlap of each selection with the latest and with the previous one, and the mean entropy of p."""
    latest, before = overlaps(choices)
    traces = (
        Trace("latest", latest, 0), Trace("previous", before, 1), Trace("entropy, bits", entropies(choices), 2),
    )  # fmt: skip
    return Figure("overlap with", tuple(trace for trace in traces if trace.curve))


def scores(history: HistoryView, view: View) -> Figure:
    """The score at each evaluation."""
    offsets, borders = _offsets(history, view)
    evaluations = [e for e in history.state.evaluations if e.phase in offsets and e.score is not None]
    x = tuple(offsets[e.phase] + e.step for e in evaluations)
    curve = Curve(x, tuple(100 * e.score for e in evaluations if e.score is not None))
    metric = history.state.metric or "score"
    return Figure(f"{metric} x 100", (Trace("validation", curve, 2),), borders=borders)


def _of_steps(title: str, history: HistoryView, view: View, names: Iterable[tuple[str, str]]) -> Figure:
    """Curves over the steps, one phase after the other."""
    offsets, borders = _offsets(history, view)
    traces = []
    for colour, (label, name) in enumerate(names):
        curves = [smoothed(history.curve(phase, name), view.smoothing) for phase in offsets]
        x = tuple(offset + x for offset, curve in zip(offsets.values(), curves, strict=True) for x in curve.x)
        joined = Curve(x, tuple(y for curve in curves for y in curve.y))
        if joined:
            traces.append(Trace(label, joined, colour))
    return Figure(title, tuple(traces), borders=borders)


def _offsets(history: HistoryView, view: View) -> tuple[dict[str, float], tuple[float, ...]]:
    """The x at which the steps of each phase begin, and the borders between them."""
    phases = [p for p in STEPPED if p in history.phases and view.phase in ("", p)]
    offsets, at = {}, 0.0
    for phase in phases:
        offsets[phase] = at
        steps = history.curve(phase, "seconds").x
        at += steps[-1] if steps else 0.0
    return offsets, tuple(offsets[phase] for phase in phases[1:])

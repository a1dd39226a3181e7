"""Progress display of a suite on stderr: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.run.events import EndedEarly, Eval, Event, SearchTaken
from core.run.told import told
from s3tui.cli.diagnostics import console, say
from s3tui.runs.run_state import RunState
from s3tui.text.sanitize import clean
from s3tui.text.streams import behind
from s3tui.text.units import ABSENT, count, duration, loss, points

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

WIDE = 80  # from this terminal width on, both losses and the parameters are shown


@dataclass(frozen=True)
class Tally:
    """The number of runs in each state, and the elapsed seconds. `resting` are arms of races, at a rung or dropped."""

    total: int
    done: int
    failed: int
    running: int
    seconds: float
    resting: int = 0

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        resting = f"{self.resting} at a rung, " if self.resting else ""
        waiting = self.total - self.done - self.failed - self.running - self.resting
        return f"{self.done} of {self.total} done{failed}, {self.running} running, {resting}{waiting} waiting"


class Progress(Protocol):
    """The interface of a progress display."""

    def line(self, text: str) -> None:
        """Print a permanent line."""

    def event(self, run: str, state: RunState, event: Event) -> None:
        """Show an event of a run, with the state after it."""

    def refresh(self, states: Mapping[str, RunState], tally: Tally) -> None:
        """Show the current states of the running runs."""

    def ring(self) -> None:
        """Ring the bell of the terminal, if there is one."""

    def close(self) -> None:
        """End the display."""


def watch() -> Progress:
    """The display that suits stderr."""
    terminal = console(stderr=True)
    return Bars(terminal) if terminal.is_terminal and not terminal.is_dumb_terminal else Lines()


class Lines:
    """A display of plain lines, one for each evaluation and early end."""

    def line(self, text: str) -> None:
        """Print it."""
        say(text)

    def event(self, run: str, state: RunState, event: Event) -> None:
        """Print a line for an evaluation, a phase that ends early and a search that is taken; the log has more."""
        if isinstance(event, (EndedEarly, Eval, SearchTaken)):
            say(f"{run}: {told(event, state.total)}")

    def refresh(self, states: Mapping[str, RunState], tally: Tally) -> None:
        """Does nothing."""

    def ring(self) -> None:
        """Ring a terminal that has no bars, too."""
        if sys.stderr.isatty():
            behind(sys.stderr).write("\a")
            sys.stderr.flush()

    def close(self) -> None:
        """Does nothing."""


class Bars:
    """A display with a bar for each running run and a line of totals, redrawn in place."""

    def __init__(self, terminal: Console) -> None:
        from rich.live import Live

        self._console = terminal
        self._live = Live(
            console=terminal, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def line(self, text: str) -> None:
        """Print it above the bars."""
        from rich.text import Text

        self._console.print(Text(clean(text)), soft_wrap=True)

    def event(self, run: str, state: RunState, event: Event) -> None:
        """Does nothing: the next refresh shows it."""

    def refresh(self, states: Mapping[str, RunState], tally: Tally) -> None:
        """Draw the current states."""
        self._live.update(_view(states, tally, self._console.width), refresh=True)

    def ring(self) -> None:
        """Ring."""
        self._console.bell()

    def close(self) -> None:
        """Remove the bars."""
        self._live.stop()


def _view(states: Mapping[str, RunState], tally: Tally, width: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    text = f"{tally}, {duration(tally.seconds)}"
    return Group(_table(states, width >= WIDE), Text(text, style="bold", no_wrap=True, overflow="ellipsis"))


def _table(states: Mapping[str, RunState], wide: bool) -> Table:
    """A row for each run; a narrow terminal shows fewer columns, and wraps long names."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False, expand=True)
    table.add_column("run", ratio=4, overflow="fold")  # fold, as the end of a name distinguishes runs
    table.add_column("", no_wrap=True)
    table.add_column("", ratio=1, min_width=4)
    numbers = ["step", *(["train/val loss", "parameters"] if wide else ["loss"]), "score", "left"]
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for run, state in states.items():
        total = max(1, state.total or 1)
        cells = [f"{state.step}/{state.total or '?'}", *_details(state, wide), points(state.score), duration(state.eta)]
        bar = ProgressBar(total=total, completed=min(state.step, total))
        table.add_row(Text(clean(run)), Text(clean(state.phase) or "starting"), bar, *map(Text, cells))
    return table


def _details(state: RunState, wide: bool) -> list[str]:
    if not wide:
        return [loss(state.train_loss)]
    used = state.expected if state.expected is not None else state.parameters
    parameters = ABSENT if used is None else f"{count(used)}/{count(state.budget)}"
    return [f"{loss(state.train_loss)}/{loss(state.validation_loss)}", parameters]

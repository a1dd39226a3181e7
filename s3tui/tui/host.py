"""The interface of the app for its screens and tabs. They import only this, so that the app can import them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, cast

from textual.message_pump import MessagePump
from textual.screen import Screen

from s3tui.runs.workspace import Workspace
from s3tui.scheduling.bulk_actions import Action
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.support.memory import Memory
from s3tui.tui.support.seat import Seat


class Host(Protocol):
    """The methods of the app that screens and tabs use."""

    workspace: Workspace
    snapshot: Snapshot
    memory: Memory

    @property
    def looked_at(self) -> Screen[None] | None:
        """The screen of runs in front, also if a dialog covers it."""

    def may_change(self) -> bool:
        """Whether anything may be changed from here; if not, it is said why, before any question is asked."""

    def act(self, names: Sequence[str], action: Action) -> None:
        """Apply an action to runs in the background, and show its outcome."""

    def in_background(self, job: Callable[[], None]) -> None:
        """Call `job` in the thread that reads the workspace."""

    def watch_runs(self, names: Iterable[str], race: str = "") -> None:
        """Load the details of these runs and of this race, and of no others, into the snapshots that follow."""

    def forget(self) -> None:
        """Show everything as at first: the theme too."""

    def starts_here(self) -> None:
        """The user starts runs: the app dispatches them, unless it was told to watch only."""

    def open_workspace(self, workspace: Workspace, seat: Seat) -> None:
        """Show another workspace; whoever only watches this one only watches that one."""

    def show_runs(self, name: str = "") -> None:
        """Close all other screens, so that the table of all runs is shown, with the cursor on a run if one is named."""

    def compare_runs(self, names: Sequence[str]) -> None:
        """Open the screen that compares these runs."""

    def pick_suite(self) -> None:
        """Open the screen from which a suite is started."""


class Hosted(MessagePump):
    """A base class of screens and tabs that use the app."""

    @property
    def s3(self) -> Host:
        """The app."""
        return cast("Host", self.app)

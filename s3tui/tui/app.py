"""The app: shows the snapshots that its feed publishes, and passes requests of the user to the feed's thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import ModalScreen, Screen

from s3tui.runs.status import Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling import control
from s3tui.scheduling.bulk_actions import Action, Done, apply
from s3tui.scheduling.dispatcher import Settings
from s3tui.text.sanitize import clean
from s3tui.tui.dialogs.ask_seat import HERE, AskSeat
from s3tui.tui.dialogs.help import Help
from s3tui.tui.dialogs.leave import Leave
from s3tui.tui.dialogs.question import Ask, Choose
from s3tui.tui.feed import Feed
from s3tui.tui.host import Host
from s3tui.tui.screens.base import Live
from s3tui.tui.screens.runs import Runs
from s3tui.tui.snapshot import Snapshot
from s3tui.tui.support.console_font import ConsoleFont
from s3tui.tui.support.harmless import Harmless
from s3tui.tui.support.keys import APP, PLACES, RUNS, is_in_palette, key
from s3tui.tui.support.latest import Latest
from s3tui.tui.support.memory import Memory, Shown
from s3tui.tui.support.palette import TONES_DARK, TONES_LIGHT, has_sixteen_colours
from s3tui.tui.support.seat import Seat
from s3tui.tui.support.terminal import only_if_there
from s3tui.tui.tables.workspace_headline import short_path
from s3tui.tui.widgets.walked import Walked

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
HARMLESS, CONSOLE_FONT = Harmless(), ConsoleFont()
DEFAULT_THEME = "textual-dark"
MOST_NOTICES = 3  # of one action; for more runs there is one notice for all


@dataclass(frozen=True)
class Left:
    """The state when the app ended: whether a background dispatcher continues, and the number of running runs."""

    goes_on: bool
    running: int


class S3App(App[None]):
    """The runs of one workspace."""

    TITLE = "s3tui"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (18, "-low"), (30, "-tall")]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("q", "leave", "Quit", footer=True, task=APP),
        key("question_mark", "help", "Help", footer=True, task=APP),
        key("W", "workspaces", "Workspaces", "Show another workspace of those that were shown lately", task=PLACES),
        key("colon", "command_palette", "Palette", "Find an action by its name", task=APP),
        key("D", "seat", "Dispatch", "Take or leave the dispatcher's seat: who has it starts queued runs", task=RUNS),
        key("z", "zoom_pane", "Full screen", "Give the part in front the whole screen, or take it back"),
        key("ctrl+t", "change_theme", "Theme", task=APP),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
    ]

    class Published(Message):
        """A newer snapshot was published."""

    class FeedBroke(Message):
        """An unexpected error has ended the feed."""

        def __init__(self, error: BaseException) -> None:
            self.error = error
            super().__init__()

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings | None = None,
        seat: Seat = Seat.UNDECIDED,
        memory: Memory | None = None,
        read_only: str = "",
        detached: bool = False,
    ) -> None:
        """Show a workspace.

        `read_only` says why nothing may be changed from here, whatever the files allow. `detached`: queued runs are
        started by a dispatcher in the background, never by this process.
        """
        super().__init__()
        self._read_only, self._detached = read_only, detached
        self.memory = memory or Memory()
        if self.memory.theme in self.available_themes:
            self.theme = self.memory.theme
        self.workspace, self._settings = workspace, settings
        self._has_asked = False
        self.snapshot = Snapshot()
        self.left: Left | None = None
        self._published: Latest[Snapshot] = Latest()
        self._feed = self._new_feed(seat)
        if "SSH_CONNECTION" in os.environ and "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, followed by the one that removes control characters, and that for the Linux console."""
        in_console = os.environ.get("TERM") == "linux" and not self.is_web
        return [*super().get_line_filters(), HARMLESS, *([CONSOLE_FONT] if in_console else [])]

    def get_css_variables(self) -> dict[str, str]:
        """The colours of the theme; on a terminal with 16 colours tones that it has."""
        variables = super().get_css_variables()
        if has_sixteen_colours(self):
            variables |= TONES_DARK if self.current_theme.dark else TONES_LIGHT
        self.theme_variables = variables
        return variables

    # Life

    def on_mount(self) -> None:
        """Start the feed."""
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, self.exit)
        only_if_there(signal.SIGCONT)
        self.push_screen(Runs())
        self._feed.start()

    def on_unmount(self) -> None:
        """Release the dispatcher lock; running runs continue."""
        for number in ENDING_SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        goes_on = self._feed.close()
        self.memory.save()
        self.left = Left(goes_on, sum(isinstance(r.status, (Running, Quiet)) for r in self.snapshot.runs.values()))

    def open_workspace(self, workspace: Workspace, seat: Seat) -> None:
        """Show another workspace; the runs of this one continue. Whoever only watches here only watches there."""
        seat = Seat.LEFT if self._feed.seat is Seat.LEFT else seat
        self._feed.close()
        self._has_asked = False
        self.workspace, self.snapshot, self._published = workspace, Snapshot(), Latest()
        self._feed = self._new_feed(seat)
        self._feed.start()

    def _new_feed(self, seat: Seat) -> Feed:
        return Feed(self.workspace, self._publish, self._break, self._settings, seat, self._read_only, self._detached)

    def show_runs(self, name: str = "") -> None:
        """Close all other screens, so that the table of all runs is shown, with the cursor on a run if one is named."""
        while not isinstance(self.screen, Runs):
            self.pop_screen()
        if name:
            self.screen.go_to(name)

    # Snapshots

    def _publish(self, snapshot: Snapshot) -> None:
        """Called from the feed's thread; snapshots that come faster than they are drawn are dropped."""
        if self._published.put(snapshot):
            self.post_message(self.Published())

    def _break(self, error: BaseException) -> None:
        self.post_message(self.FeedBroke(error))

    def on_s3app_published(self) -> None:
        """Draw the latest snapshot."""
        if (snapshot := self._published.take()) is not None:
            before, self.snapshot = self.snapshot, snapshot
            self._tell_news(before)
            self._show()
            self._ask_who_starts()

    def _tell_news(self, before: Snapshot) -> None:
        """Ring for notifications, and say which could not be sent."""
        if self.snapshot.rings > before.rings:
            self.bell()
        for warning in self.snapshot.warnings[len(before.warnings) :]:
            self.notify(clean(warning), severity="warning", markup=False)

    def on_s3app_feed_broke(self, message: FeedBroke) -> None:
        """End with the error: a screen that no longer updates would mislead."""
        raise message.error

    @property
    def looked_at(self) -> Live | None:
        """The screen in front, also if a dialog covers it."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Live)), None)

    def _show(self) -> None:
        if (screen := self.looked_at) is not None:
            screen.show_latest()

    # What is remembered

    def watch_theme(self, theme: str) -> None:
        """Remember the theme."""
        self.memory.theme = theme

    def forget(self) -> None:
        """Show everything as at first: the theme too."""
        self.memory.keep(self.workspace.path, Shown())
        self.theme = DEFAULT_THEME

    # The dispatcher's seat

    def _ask_who_starts(self) -> None:
        if self.snapshot.asks and not self._has_asked and not isinstance(self.screen, ModalScreen):
            self._has_asked = True
            waiting = sum(isinstance(run.status, Queued) for run in self.snapshot.runs.values())
            self.push_screen(AskSeat(waiting), self._answer_who_starts)

    def _answer_who_starts(self, answer: str | None) -> None:
        self._feed.decide(Seat.TAKEN if answer == HERE else Seat.LEFT)

    def starts_here(self) -> None:
        """The user starts runs: the app dispatches them, unless it was told to watch only."""
        if self._feed.seat is Seat.UNDECIDED:
            self._feed.decide(Seat.TAKEN)

    def action_seat(self) -> None:
        """Take the dispatcher's seat, or leave it."""
        if not self.may_change():
            return
        who = self.snapshot.dispatcher
        if not who:
            self._feed.decide(Seat.LEFT)
            self.notify("you only watch now: queued runs wait until somebody starts them", markup=False)
        else:
            self._feed.decide(Seat.TAKEN)
            told = "queued runs start here" if who == "nobody" else f"{who} dispatches; this app does when it ends"
            self.notify(clean(told), markup=False)

    def watch_runs(self, names: Iterable[str], race: str = "") -> None:
        """Load the details of these runs and of this race, and of no others, into the snapshots that follow."""
        self._feed.watch(names, race)

    # Other screens

    def compare_runs(self, names: Sequence[str]) -> None:
        """Open the screen that compares these runs."""
        from s3tui.tui.screens.compare import Compare

        self.push_screen(Compare(names))

    def action_workspaces(self) -> None:
        """Show another workspace."""
        others = [path for path in self.memory.recent() if path != self.workspace.path]
        if not others:
            self.notify("no other workspace was shown lately", severity="warning", markup=False)
            return
        answers = [(str(path), "", short_path(path)) for path in others]
        self.push_screen(Choose("Workspaces", answers), self._open_recent)

    def _open_recent(self, path: str | None) -> None:
        if path is not None and not Path(path).is_dir():
            self.notify(clean(f"{path} is not there any more"), severity="warning", markup=False)
        elif path is not None:
            self.open_workspace(Workspace(Path(path)), Seat.UNDECIDED)
            self.show_runs()

    def pick_suite(self) -> None:
        """Open the screen from which a suite is started; its workspace may be another than a read-only one."""
        if self._read_only:
            self.notify(clean(self._read_only), severity="warning", markup=False)
            return
        from s3tui.tui.screens.suite_picker import PickSuite

        self.push_screen(PickSuite())

    # Actions of keys

    def may_change(self) -> bool:
        """Whether anything may be changed here; if not, the user is told why."""
        if self.snapshot.read_only:
            self.notify(clean(self.snapshot.read_only), severity="warning", markup=False)
        return not self.snapshot.read_only

    def act(self, names: Sequence[str], action: Action) -> None:
        """Apply an action to runs in the background, and show its outcome."""
        if not self.may_change():
            return

        def work() -> None:
            runs = [run for name in names if (run := self.snapshot.runs.get(name)) is not None]
            try:
                outcome = apply(self.workspace, runs, action)
            except OSError as error:
                self.call_later(self.notify, str(error), severity="error", markup=False)
                return
            self.call_later(self._report, outcome)

        self._feed.do(work)

    def in_background(self, job: Callable[[], None]) -> None:
        """Call `job` in the thread that reads the workspace."""
        self._feed.do(job)

    def _report(self, outcome: Sequence[Done]) -> None:
        done = [one for one in outcome if not one.refused]
        for one in outcome:
            if one.refused:
                self.notify(clean(one.refused), severity="warning", markup=False)
        if len(done) > MOST_NOTICES:
            self.notify(f"{len(done)} runs: {done[0].done}", markup=False)
        else:
            for one in done:
                self.notify(clean(f"{one.name}: {one.done}"), markup=False)

    @on(Walked.SearchAsked)
    def _ask_what_to_search(self, message: Walked.SearchAsked) -> None:
        def search(answer: str | None) -> None:
            if answer is not None:
                message.walked.seek(answer)

        self.push_screen(Ask("Search", message.walked.sought, "n next, N previous"), search)

    def action_zoom_pane(self) -> None:
        """Give the part in front the whole screen, or take it back."""
        self.screen.toggle_class("-zoomed")

    def action_help(self) -> None:
        """Show the help for the keys of this screen."""
        self.push_screen(Help(self.screen))

    def action_leave(self) -> None:
        """Quit, after asking what to do with running and waiting runs."""
        if isinstance(self.screen, Leave):
            return
        runs = self.snapshot.runs.values()
        running = [run for run in runs if isinstance(run.status, (Running, Quiet))]
        waiting = [run for run in runs if isinstance(run.status, Queued)]
        if (running or waiting) and not self.snapshot.read_only and not self.snapshot.dispatcher:
            self.push_screen(
                Leave(len(running), len(waiting)), lambda answer: self._leave(answer, [*waiting, *running])
            )
        else:
            self.exit()

    def _leave(self, answer: str | None, runs: Sequence[FoundRun]) -> None:
        if not answer:
            return
        if answer in ("stop", "cancel"):
            action = control.hold if answer == "stop" else control.cancel
            self._feed.do(lambda: self._end_all(runs, action))
        self.exit()

    def _end_all(self, runs: Sequence[FoundRun], action: Action) -> None:
        with contextlib.suppress(OSError):
            apply(self.workspace, runs, action)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """All keys of the screen in front, and those of Textual's own commands that no key has."""
        yield from (one for one in super().get_system_commands(screen) if one.title not in ("Quit", "Theme", "Keys"))
        for active in screen.active_bindings.values():
            binding, node = active.binding, active.node
            if is_in_palette(binding) and active.enabled:
                about = f"{binding.tooltip or binding.description} ({self.get_key_display(binding)})"
                yield SystemCommand(binding.description, about, lambda a=binding.action, n=node: self._run_action(a, n))

    def _run_action(self, action: str, node: object) -> None:
        self.call_later(self.run_action, action, node)


if TYPE_CHECKING:
    _is_a_host: type[Host] = S3App  # screens see the app by this protocol alone; the type checker compares the two

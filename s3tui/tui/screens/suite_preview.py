"""The preview screen of a suite: its runs, which exist already, their sizes, and problems of its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from core.run.errors import S3Error
from s3tui.runs.workspace import Workspace
from s3tui.text.sanitize import clean
from s3tui.tui.dialogs.confirm import confirm
from s3tui.tui.host import Hosted
from s3tui.tui.support.background import handed_over, in_thread
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import content, plain, text
from s3tui.tui.support.seat import Seat
from s3tui.tui.tables.planned_rows import COLUMNS
from s3tui.tui.tables.planned_runs import PlannedRuns
from s3tui.tui.widgets.foot import Foot
from s3tui.tui.widgets.grid import Grid

if TYPE_CHECKING:
    from s3tui.suite.data_text import Look
    from s3tui.suite.plan import Outlook, Plan
    from s3tui.suite.preview import Preview
    from s3tui.suite.size import Size

SETTLE_SECONDS = 0.5  # that the screen must be open before candidates are counted, which takes seconds


class PreviewSuite(Hosted, Screen[None]):
    """The screen, on which runs are marked and started."""

    TITLE = "preview"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("s,enter", "start", "Start", "Queue the marked runs (s3tui run --detach)", footer=True),
        key("space", "mark", "Mark", "Mark the run under the cursor, or leave it out (--only)", footer=True),
        key("a", "mark_all", "All", "Mark all runs, or none", footer=True),
        key("f", "fresh", "Fresh", "Replace runs whose settings changed, results too (--fresh)", footer=True),
        key("r", "read", "Read again", "Read the file again after correcting it", footer=True),
        key("y", "copy", "Copy", "Copy the command that does the same"),
        key("escape,backspace", "back", "Back", "Back to the files", footer=True),
    ]  # fmt: skip

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file, self._fresh = file, False
        self._planned = PlannedRuns()
        self._doing = ""
        self._settled = False

    @property
    def grid(self) -> Grid:
        """The runs."""
        return self.query_one(Grid)

    def compose(self) -> ComposeResult:
        """A headline and notices, the runs or the problems, and details of one run."""
        yield Static(id="headline", markup=False)
        yield Static(id="notice", markup=False)
        grid = Grid(COLUMNS, "", id="planned")
        grid.border_title = "runs"
        yield grid
        with VerticalScroll(id="problems", classes="framed") as problems:
            problems.border_title = "problems of the file"
            problems.border_subtitle = "r reads it again"
            yield Static(id="problem-list", markup=False)
        detail = Static(id="planned-detail", classes="framed", markup=False)
        yield detail
        yield Foot()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable actions on runs if the file has problems."""
        return self._planned.preview is not None or action not in ("start", "mark", "mark_all", "copy")

    def on_mount(self) -> None:
        """Read the file."""
        self.query_one("#problems").display = False
        self.grid.focus()
        self.action_read()
        self.set_timer(SETTLE_SECONDS, self._measure)

    # Reading

    def action_read(self) -> None:
        """Read the file in a thread, as validation has heavy imports and reads every run."""
        file, fresh = self._file, self._fresh
        self._do(f"reading {file}")

        def look() -> Preview | S3Error:
            from s3tui.suite.preview import read

            try:
                return read(file, fresh)
            except S3Error as error:
                return error

        in_thread(self, look, self._read)

    def _read(self, found: Preview | S3Error) -> None:
        if broken := isinstance(found, S3Error):
            self._planned.preview = None
            self._show_problems(getattr(found, "problems", None) or [str(found)])
        else:
            self._planned.preview = found
            if self._settled:
                self._look_at_data()
        self.query_one("#problems").display = broken
        self.grid.display = not broken
        self.query_one("#planned-detail").set_class(broken, "-empty")
        (self.query_one("#problems") if broken else self.grid).focus()
        self.refresh_bindings()
        self._do("")

    def _show_problems(self, problems: Sequence[str]) -> None:
        # The file is in the headline; each problem begins with its key.
        short = [clean(line.removeprefix(f"{self._file}: ")) for line in problems]
        lines = [Content.assemble(("! ", "$text-error"), line) for line in short]
        self.query_one("#problem-list", Static).update(Content("\n\n").join(lines))

    def _measure(self) -> None:
        """Read the data and count the candidates in threads: child processes read files and build models."""
        if self._planned.preview is None:
            self.set_timer(SETTLE_SECONDS, self._measure)
            return
        self._settled = True
        runs = [one.run for one in self._planned.all]

        def measure() -> dict[str, Size]:
            from s3tui.suite.preview import sizes

            return sizes(run.spec for run in runs)

        self._look_at_data()
        in_thread(self, measure, self._measured)

    def _look_at_data(self) -> None:
        """Read the data of the runs, in a thread, by a child process."""
        runs = [one.run for one in self._planned.all]

        def look() -> dict[str, Look]:
            from s3tui.suite.beforehand import by_run

            return by_run(runs)

        in_thread(self, look, self._looked)

    def _looked(self, looks: dict[str, Look]) -> None:
        self._planned.looks = looks
        self._show()

    def _measured(self, sizes: dict[str, Size]) -> None:
        self._planned.sizes = sizes
        self._show()

    # What is shown

    def _do(self, doing: str) -> None:
        self._doing = doing
        self._show()

    def _show(self) -> None:
        doing = [text(f"  {self._doing}", "muted")] if self._doing else []
        title = [text("s3tui ", "strong"), text(clean(str(self._file)))]
        self.query_one("#headline", Static).update(content(*title, *self._planned.counts(), *doing))
        notice = self.query_one("#notice", Static)
        lines = self._notices()
        notice.display = bool(lines)
        notice.update(Content("\n").join(content(text(clean(line), "warn")) for line in lines))
        if self._planned.preview is not None:
            self.grid.show(self._planned.rows())
            self.grid.border_subtitle = f"{len(self._planned.marked)} of {len(self._planned.all)} marked"
            self._show_detail()

    def _notices(self) -> list[str]:
        """Notices to read before starting."""
        if self._planned.preview is None:
            return []
        notices = []
        there = self._planned.preview.suite.workspace
        if not self._is_open(there):
            notices.append(f"its workspace is {there}, another than the one that is open; starting opens it")
        elif self.s3.snapshot.read_only:
            notices.append(f"nothing can be started: {self.s3.snapshot.read_only}")
        if self._fresh:
            notices.append("fresh: marked runs whose settings changed are replaced, and what they have is lost")
        return notices

    def _is_open(self, workspace: Path) -> bool:
        return workspace.resolve() == self.s3.workspace.path.resolve()

    @on(Grid.Highlighted)
    def _show_detail(self) -> None:
        name, lines = self.grid.cursor_key, self._planned.detail(self.grid.cursor_key)
        detail = self.query_one("#planned-detail", Static)
        if name is not None and lines:
            detail.border_title = clean(name)
            detail.border_subtitle = plain(f"y copies: {self._planned.command}")
        detail.update(Content("\n").join(content(*line) for line in lines))

    # What is chosen

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor, and move to the next one."""
        if self.grid.cursor_key is not None:
            self._planned.toggle(self.grid.cursor_key)
            self._show()
        self.grid.action_move(1)

    def action_mark_all(self) -> None:
        """Mark all runs, or none."""
        self._planned.toggle_all()
        self._show()

    def action_fresh(self) -> None:
        """Switch whether runs whose settings changed are replaced."""
        self._fresh = not self._fresh
        self.action_read()

    def action_copy(self) -> None:
        """Copy the command that does the same."""
        self.app.copy_to_clipboard(self._planned.command)
        self.notify("copied the command", markup=False)

    def action_back(self) -> None:
        """Back to the files."""
        self.dismiss()

    # Starting

    @on(Grid.Chosen)
    def action_start(self) -> None:
        """Queue the marked runs, after confirmation if existing ones are replaced."""
        if self._doing or self._planned.preview is None:
            return
        if self._is_open(self._planned.preview.suite.workspace) and not self.s3.may_change():
            return
        chosen = self._planned.marked
        refused = [one.refusal for one in chosen if one.refusal]
        lost = [one for one in chosen if one.replaced and one.trained]
        if not chosen:
            self.notify("no run is marked; space marks", severity="warning", markup=False)
        elif refused:
            reason = f"{len(refused)} of the marked runs cannot be started; {refused[0]}"
            self.notify(clean(reason), severity="error", markup=False)
        elif lost:
            self._confirm(chosen, lost)
        else:
            self._submit(chosen)

    def _confirm(self, chosen: Sequence[Outlook], lost: Sequence[Outlook]) -> None:
        done = sum(one.state == "finished" for one in lost)
        question = (
            f"{len(lost)} of these runs have other settings than the file, {done} of them are finished: "
            "all they have is lost, for good"
        )
        confirm(self, "Replace runs", question, "replace them", lambda: self._submit(chosen), no="leave them")

    def _submit(self, chosen: Sequence[Outlook]) -> None:
        """Queue runs in the feed's thread, which reads them immediately and outlives this screen."""
        assert self._planned.preview is not None
        suite, runs, fresh = self._planned.preview.suite, [one.run for one in chosen], self._fresh
        self._do(f"queueing {len(runs)} runs")
        self.s3.starts_here()
        submitted, refused = handed_over(self, self._submitted), handed_over(self, self._refused)

        def work() -> None:
            from s3tui.suite.submit import submit

            try:
                submitted(submit(suite, runs, fresh))
            except (S3Error, OSError) as error:
                refused(str(error))

        self.s3.in_background(work)

    def _refused(self, reason: str) -> None:
        self.notify(clean(reason), severity="error", markup=False)
        self.action_read()  # something has changed since it was read

    def _submitted(self, plan: Plan) -> None:
        """Show the runs, in their workspace."""
        assert self._planned.preview is not None
        workspace = self._planned.preview.suite.workspace
        if not self._is_open(workspace):
            self.s3.open_workspace(Workspace(workspace), Seat.TAKEN)
        done = f"; {len(plan.finished)} finished before, skipped" if plan.finished else ""
        self.notify(f"{len(plan.start)} queued{done}", markup=False)
        suite = self._planned.preview.suite.name
        self.s3.show_runs(f"{suite}/{plan.start[0].name}" if plan.start else "")

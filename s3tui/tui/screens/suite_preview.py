"""What a suite would start: its runs, what is there of them already, their candidates; the problems of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from core.run.errors import S3Error
from s3tui.runs.workspace import Workspace
from s3tui.text.sanitize import clean
from s3tui.text.units import ABSENT, count, percent
from s3tui.tui.dialogs.confirm import confirm
from s3tui.tui.host import Hosted
from s3tui.tui.support.background import handed_over, in_thread
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import STATES, Cell, Part, content, plain, text
from s3tui.tui.tables.run_rows import MARK
from s3tui.tui.widgets.grid import Column, Grid, Row

if TYPE_CHECKING:
    from core.run.spec import RunSpec
    from s3tui.suite.plan import Outlook, Plan
    from s3tui.suite.preview import Preview, Size

COLUMNS = (
    Column("state", "state", 13, rank=1), Column("name", "run", 0, rank=0), Column("method", "method", 8, rank=2),
    Column("task", "task", 16, rank=3), Column("space", "space", 16, rank=7),
    Column("seed", "seed", 5, right=True, rank=8), Column("candidates", "candidates", 10, right=True, rank=5),
    Column("parameters", "of parameters", 13, right=True, rank=6), Column("budget", "budget", 11, right=True, rank=4),
)  # fmt: skip
SETTLE_SECONDS = 0.5  # after which somebody reads on, so that models are looked at
NEW: Part = ("+ ", "accent")
IN_THE_WAY: Part = ("! ", "bad")


class PreviewSuite(Hosted, Screen[None]):
    """The runs of one file, to be marked and started."""

    TITLE = "preview"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("s,enter", "start", "Start", "Queue the marked runs (s3tui run --detach)", footer=True),
        key("space", "mark", "Mark", "Mark the run under the cursor, or leave it out (--only)", footer=True),
        key("a", "mark_all", "All", "Mark all runs, or none", footer=True),
        key("f", "fresh", "Fresh", "Replace what is there already, results too (--fresh)", footer=True),
        key("r", "read", "Read again", "Read the file again, once it is mended", footer=True),
        key("y", "copy", "Copy", "Copy the command that does the same"),
        key("escape,backspace", "back", "Back", "Back to the files", footer=True),
    ]  # fmt: skip

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file, self._fresh = file, False
        self._preview: Preview | None = None
        self._left_out: set[str] = set()
        self._sizes: dict[str, Size] | None = None
        self._doing = ""

    @property
    def grid(self) -> Grid:
        """The runs."""
        return self.query_one(Grid)

    def compose(self) -> ComposeResult:
        """What is told of the whole, the runs or the problems, and what there is of one run."""
        yield Static(id="headline", markup=False)
        yield Static(id="notice", markup=False)
        grid = Grid(COLUMNS, "", id="planned")
        grid.border_title = "runs"
        yield grid
        with VerticalScroll(id="problems", classes="framed") as problems:
            problems.border_title = "problems of the file"
            problems.border_subtitle = "r reads it again"
            yield Static(id="told", markup=False)
        detail = Static(id="planned-detail", classes="framed", markup=False)
        yield detail
        yield Footer(show_command_palette=False, compact=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where the file has problems there are no runs to do anything with."""
        return self._preview is not None or action not in ("start", "mark", "mark_all", "copy")

    def on_mount(self) -> None:
        """Read the file."""
        self.query_one("#problems").display = False
        self.grid.focus()
        self.action_read()
        self.set_timer(SETTLE_SECONDS, self._measure)

    # Reading

    def action_read(self) -> None:
        """Read the file, in a thread: that loads what checks settings, and looks at every run."""
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
        if isinstance(found, S3Error):
            self._preview = None
            self._show_problems(getattr(found, "problems", None) or [str(found)])
        else:
            self._preview = found
        self.query_one("#problems").display = self._preview is None
        self.grid.display = self.query_one("#planned-detail").display = self._preview is not None
        (self.query_one("#problems") if self._preview is None else self.grid).focus()
        self.refresh_bindings()
        self._do("")

    def _show_problems(self, problems: Sequence[str]) -> None:
        # The file is named above; each problem begins with its key.
        short = [clean(line.removeprefix(f"{self._file}: ")) for line in problems]
        lines = [Content.assemble(("! ", "$text-error"), line) for line in short]
        self.query_one("#told", Static).update(Content("\n\n").join(lines))

    def _measure(self) -> None:
        """How many candidates there are, in a thread: a child process builds the models without their weights."""
        if self._preview is None:
            self.set_timer(SETTLE_SECONDS, self._measure)
            return
        specs = [one.run.spec for one in self._preview.runs]

        def measure() -> dict[str, Size]:
            from s3tui.suite.preview import sizes

            return sizes(specs)

        in_thread(self, measure, self._measured)

    def _measured(self, sizes: dict[str, Size]) -> None:
        self._sizes = sizes
        self._show()

    # What is shown

    def _do(self, doing: str) -> None:
        self._doing = doing
        self._show()

    def _show(self) -> None:
        self.query_one("#headline", Static).update(content(*self._headline()))
        notice = self.query_one("#notice", Static)
        lines = self._notices()
        notice.display = bool(lines)
        notice.update(Content("\n").join(content(text(clean(line), "warn")) for line in lines))
        if self._preview is not None:
            self.grid.show(
                [row_of(one, one.run.name not in self._left_out, self._size_of(one)) for one in self._preview.runs]
            )
            chosen = self._chosen()
            self.grid.border_subtitle = f"{len(chosen)} of {len(self._preview.runs)} marked"
            self._show_detail()

    def _headline(self) -> list[Cell]:
        cells: list[Cell] = [text("s3tui ", "strong"), text(clean(str(self._file)))]
        if self._preview is not None:
            for name, number in Counter(_state(one)[1] for one in self._preview.runs).items():
                cells += [text("  "), (_glyph(name), (f"{number} {name}", ""))]
            cells.append(text(f"  in {clean(str(self._preview.suite.folder))}", "muted"))
        if self._doing:
            cells.append(text(f"  {self._doing}", "muted"))
        return cells

    def _notices(self) -> list[str]:
        """What a person should know before starting."""
        if self._preview is None:
            return []
        told = []
        there = self._preview.suite.workspace
        if not self._is_open(there):
            told.append(f"its workspace is {there}, another than the one that is open; starting opens it")
        elif self.s3.snapshot.read_only:
            told.append(f"nothing can be started: {self.s3.snapshot.read_only}")
        if self._fresh:
            told.append("fresh: what is there of the marked runs is lost, results too")
        return told

    def _is_open(self, workspace: Path) -> bool:
        return workspace.resolve() == self.s3.workspace.path.resolve()

    def _size_of(self, one: Outlook) -> Size | None:
        from s3tui.suite.preview import key_of

        return (self._sizes or {}).get(key_of(one.run.spec))

    @on(Grid.Highlighted)
    def _show_detail(self) -> None:
        one = self._under_cursor()
        detail = self.query_one("#planned-detail", Static)
        if one is None or self._preview is None:
            detail.update("")
            return
        detail.border_title = clean(one.run.name)
        detail.border_subtitle = plain(f"y copies: {self._preview.command(self._chosen())}")
        detail.update(
            Content("\n").join(content(*line) for line in detail_of(one, self._size_of(one), self._sizes is None))
        )

    # What is chosen

    def _under_cursor(self) -> Outlook | None:
        runs = self._preview.runs if self._preview else ()
        return next((one for one in runs if one.run.name == self.grid.cursor_key), None)

    def _chosen(self) -> list[Outlook]:
        runs = self._preview.runs if self._preview else ()
        return [one for one in runs if one.run.name not in self._left_out]

    def action_mark(self) -> None:
        """Mark the run under the cursor, or leave it out, and go on to the next."""
        if self.grid.cursor_key is not None:
            self._left_out ^= {self.grid.cursor_key}
            self._show()
        self.grid.action_move(1)

    def action_mark_all(self) -> None:
        """Mark all runs, or none."""
        names = {one.run.name for one in self._preview.runs} if self._preview else set()
        self._left_out = set() if self._left_out else names
        self._show()

    def action_fresh(self) -> None:
        """Whether what is there is replaced; then other runs stand in the way."""
        self._fresh = not self._fresh
        self.action_read()

    def action_copy(self) -> None:
        """Copy the command that does the same."""
        if self._preview is not None:
            self.app.copy_to_clipboard(self._preview.command(self._chosen()))
            self.notify("copied the command", markup=False)

    def action_back(self) -> None:
        """Back to the files."""
        self.dismiss()

    # Starting

    @on(Grid.Chosen)
    def action_start(self) -> None:
        """Queue the marked runs, once it is clear that nothing is lost that somebody wants."""
        if self._doing or self._preview is None:
            return
        chosen = self._chosen()
        refused = [one.refusal for one in chosen if one.refusal]
        there = [one for one in chosen if one.state != "new"]
        if not chosen:
            self.notify("no run is marked; space marks", severity="warning", markup=False)
        elif refused:
            told = f"{len(refused)} of the marked runs cannot be started; {refused[0]}"
            self.notify(clean(told), severity="error", markup=False)
        elif self._fresh and there:
            self._confirm(chosen, there)
        else:
            self._submit(chosen)

    def _confirm(self, chosen: Sequence[Outlook], there: Sequence[Outlook]) -> None:
        done = sum(one.state == "finished" for one in there)
        told = f"{len(there)} of these runs are there already, {done} of them finished: all they have is lost, for good"
        confirm(self, "Replace runs", told, "replace them", lambda: self._submit(chosen), no="leave them")

    def _submit(self, chosen: Sequence[Outlook]) -> None:
        """Queue runs in the feed's thread, which looks at them at once and outlives this screen."""
        assert self._preview is not None
        suite, runs, fresh = self._preview.suite, [one.run for one in chosen], self._fresh
        self._do(f"queueing {len(runs)} runs")
        submitted, refused = handed_over(self, self._submitted), handed_over(self, self._refused)

        def wish() -> None:
            from s3tui.suite.submit import submit

            try:
                submitted(submit(suite, runs, fresh))
            except (S3Error, OSError) as error:
                refused(str(error))

        self.s3.in_background(wish)

    def _refused(self, told: str) -> None:
        self.notify(clean(told), severity="error", markup=False)
        self.action_read()  # something has changed since it was read

    def _submitted(self, plan: Plan) -> None:
        """Show the runs, in the workspace where they are."""
        assert self._preview is not None
        workspace = self._preview.suite.workspace
        if not self._is_open(workspace):
            self.s3.open_workspace(Workspace(workspace))
        done = f"; {len(plan.finished)} finished before, skipped" if plan.finished else ""
        self.notify(f"{len(plan.start)} queued{done}", markup=False)
        self.s3.show_runs()


def _state(one: Outlook) -> Part:
    """The glyph's tone and the word for what is there of a run."""
    return ("", "in the way") if one.refusal else ("", one.state)


def _glyph(name: str) -> Part:
    if name in ("new", "in the way"):
        return NEW if name == "new" else IN_THE_WAY
    glyph, tone = STATES.get(name, ("?", ""))
    return (f"{glyph} ", tone)


def row_of(one: Outlook, marked: bool, size: Size | None) -> Row:
    """A run of the suite as a row."""
    from s3tui.suite.preview import WHOLE

    spec, name = one.run.spec, _state(one)[1]
    tone = "" if marked else "muted"
    mark: Part = (MARK, "accent") if marked else (" ", "")
    cells: Mapping[str, Cell] = {
        "state": (mark, _glyph(name), (name, "bad" if one.refusal else tone)),
        "name": text(clean(one.run.name), tone),
        "method": text(spec.method, tone),
        "task": text(clean(_task(spec)), tone),
        "space": text(ABSENT if spec.method in WHOLE else clean(spec.space.name), tone),
        "seed": text(str(spec.seed), tone),
        "candidates": _counted(size.candidates if size and not size.problem else None, tone),
        "parameters": _counted(size.parameters if size and not size.problem else None, tone),
        "budget": text(_budget(spec, size), tone),
    }
    return Row(one.run.name, dict(cells))


def _counted(value: int | None, tone: str) -> Cell:
    return text(count(value), "muted" if value is None else tone)


def _task(spec: RunSpec) -> str:
    return str(getattr(spec.task, "name", "") or getattr(spec.task, "path", ""))


def _budget(spec: RunSpec, size: Size | None) -> str:
    """In parameters, where the size of the model is known or not needed."""
    if spec.budget is None:
        return ABSENT
    if spec.budget >= 1:
        return count(spec.budget)
    return count(int(spec.budget * size.backbone)) if size and size.backbone else percent(spec.budget)


def detail_of(one: Outlook, size: Size | None, measuring: bool) -> list[list[Cell]]:
    """What there is to say of a run: why it cannot be started, its model and space, how much that is."""
    from s3tui.suite.preview import WHOLE

    spec = one.run.spec
    lines = []
    if spec.method not in WHOLE:
        lines = [_named("size", *_told_size(size, measuring)), _named("space", _space(spec))]
    lines += [_named("model", clean(spec.model)), _named("length", _length(spec))]
    if one.refusal:
        lines.insert(0, _named("refused", clean(one.refusal), "bad"))
    elif one.state == "finished":
        lines.insert(0, _named("there", "finished before: is left as it is", "good"))
    elif one.state != "new":
        lines.insert(0, _named("there", f"{one.state}: goes on with what it has"))
    return lines


def _named(name: str, told: str, tone: str = "") -> list[Cell]:
    return [text(f"{name:9}", "muted"), text(told, tone)]


def _length(spec: RunSpec) -> str:
    phases = (("search", spec.search if spec.method == "s3" else None), ("retrain", spec.retrain))
    told = [
        f"{name} {f'{phase.max_steps:,} steps' if phase.max_steps else f'{phase.epochs:g} epochs'}"
        for name, phase in phases
        if phase is not None
    ]
    return ", ".join(told)


def _space(spec: RunSpec) -> str:
    """The space by name, with its patterns and deltas."""
    groups = [f"{pattern}: {', '.join(deltas)}" for group in spec.space.groups for pattern, deltas in group.items()]
    return clean(f"{spec.space.name}  {'; '.join(groups)}" if groups else spec.space.name)


def _told_size(size: Size | None, measuring: bool) -> tuple[str, str]:
    if size is None:
        return ("building the model without its weights to count" if measuring else "unknown", "muted")
    if size.problem:
        return (f"unknown: {clean(size.problem)}", "warn")
    return (f"{size.candidates:,} candidates, {size.parameters:,} of {size.backbone:,} parameters", "")

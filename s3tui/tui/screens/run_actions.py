"""Keys for actions on runs, on every screen that shows runs; each corresponds to a command."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from s3tui.runs.status import Quiet, Running
from s3tui.runs.workspace import FoundRun, Workspace
from s3tui.scheduling import control
from s3tui.text.sanitize import clean
from s3tui.tui.dialogs.confirm import confirm
from s3tui.tui.dialogs.question import Ask, Choose
from s3tui.tui.host import Hosted
from s3tui.tui.screens.base import Exportable
from s3tui.tui.support.keys import RUNS, key
from s3tui.tui.widgets.walked import Walked


class RunActions(Hosted, Exportable):
    """Actions on `chosen_names`, the runs that are marked or under the cursor of the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("S", "start_suite", "New", "Start a suite from its TOML file (s3tui run)", footer=True, task=RUNS),
        key("c", "compare", "Compare", "Compare the marked runs", footer=True, task=RUNS),
        key("s", "stop", "Stop", "Stop with a checkpoint (s3tui stop)", footer=True, task=RUNS),
        key("u", "resume", "Resume", "Resume paused runs (s3tui resume)", task=RUNS),
        key("r", "retry", "Retry", "Queue failed runs again (s3tui retry)", task=RUNS),
        key("x", "cancel", "Cancel", "Kill at once, and remove from the queue (s3tui cancel)", task=RUNS),
        key("p", "pause_queue", "Pause", "Pause the queue, or resume it (s3tui pause)", task=RUNS),
        key("P", "priority", "Priority", "Set the priority of runs (s3tui priority)", task=RUNS),
        key("d", "delete", "Delete", "Delete runs with all their files (s3tui rm)", task=RUNS),
        key("y", "copy", "Copy", "Copy name, path or command of a run, the row, or the lines of the log", task=RUNS),
        key("exclamation_mark", "folder", "Folder", "A shell in its folder; exit returns (s3tui path)", task=RUNS),
        key("e", "export", "Export", "Write the plot or the table on screen to a file"),
    ]  # fmt: skip

    @property
    def chosen_names(self) -> list[str]:
        """The runs to which an action applies."""
        raise NotImplementedError

    def _chosen(self) -> list[FoundRun]:
        runs = self.s3.snapshot.runs
        return [runs[name] for name in self.chosen_names if name in runs]

    def action_stop(self) -> None:
        """Stop runs with a checkpoint, so that no work is lost."""
        self.s3.act(self.chosen_names, control.hold)

    def action_resume(self) -> None:
        """Resume paused runs."""
        self.s3.act(self.chosen_names, control.resume)

    def action_retry(self) -> None:
        """Queue runs again."""
        self.s3.act(self.chosen_names, control.retry)

    def action_cancel(self) -> None:
        """Cancel runs for good; asks first if a running one would lose work since its checkpoint."""
        names = self.chosen_names
        running = [run for run in self._chosen() if isinstance(run.status, (Running, Quiet))]
        if not running:
            self.s3.act(names, control.cancel)
            return
        if not self.s3.may_change():
            return
        question = f"{_listed([run.name for run in running])}: work since the last checkpoint is lost"
        confirm(self, "Cancel", question, "cancel", lambda: self.s3.act(names, control.cancel))

    def action_delete(self) -> None:
        """Delete runs, after confirmation."""
        names = self.chosen_names
        if names and self.s3.may_change():
            files = ": all files of it" if len(names) == 1 else ""
            question = f"{_listed(names)}{files}, for good"
            confirm(self, "Delete", question, "delete", lambda: self.s3.act(names, _remove))

    def action_pause_queue(self) -> None:
        """Pause or resume the queue."""
        workspace = self.s3.workspace
        if not self.s3.may_change():
            return
        if not workspace.shared.exists():
            self.notify("there is no queue yet", severity="warning", markup=False)
            return
        paused = self.s3.snapshot.paused

        def work() -> None:
            workspace.pause.unlink(missing_ok=True) if paused else workspace.pause.touch()

        self.s3.in_background(work)
        self.notify("the queue is resumed" if paused else "the queue is paused; p resumes it", markup=False)

    def action_priority(self) -> None:
        """Give runs another priority."""
        names = self.chosen_names

        def set_it(answer: str | None) -> None:
            if answer:
                value = int(answer)
                self.s3.act(names, lambda workspace, run: control.set_priority(workspace, run, value))

        if names and self.s3.may_change():
            now = str(self.s3.snapshot.lines[names[0]].priority)
            ask = Ask("Priority", now, f"{_listed(names)}: 0 is the default; higher starts first", type="integer")
            self.app.push_screen(ask, set_it)

    def action_copy(self) -> None:
        """Copy the name, path or command of a run to the terminal's clipboard (OSC 52)."""
        runs = self._chosen()
        if not runs:
            return
        run = runs[0]
        command = f"s3tui show {shlex.quote(run.name)} --in {shlex.quote(str(self.s3.workspace.path))}"
        texts = {"name": run.name, "path": str(run.directory.path), "command": command}
        if isinstance(self.focused, Walked):
            name, text = self.focused.to_copy
            texts[name] = text
        answers = [(key, key[0], f"{key}: {value.splitlines()[0] if value else ''}") for key, value in texts.items()]

        def copy(answer: str | None) -> None:
            if answer:
                self.app.copy_to_clipboard(texts[answer].encode(errors="replace").decode())
                self.notify(f"copied the {answer}", markup=False)

        self.app.push_screen(Choose("Copy", answers), copy)

    def action_folder(self) -> None:
        """Open a shell in the folder of a run."""
        runs = self._chosen()
        if not runs:
            return
        if self.app.is_web:
            self.notify("there is no shell in a browser", severity="warning", markup=False)
            return
        shell = os.environ.get("SHELL", "/bin/sh")
        with self.app.suspend():
            print(f"{clean(str(runs[0].directory.path))}: exit returns to s3tui", flush=True)
            subprocess.run([shell], cwd=runs[0].directory.path, check=False)

    def action_compare(self) -> None:
        """Compare runs."""
        names = self.chosen_names
        if len(names) < 2:
            self.notify("mark two runs or more with space", severity="warning", markup=False)
        else:
            self.s3.compare_runs(names)

    def action_start_suite(self) -> None:
        """Start a suite."""
        self.s3.pick_suite()

    def action_export(self) -> None:
        """Export the plot or table on the screen."""
        from s3tui.tui.screens.export import ask_what

        ask_what(self)


def _remove(workspace: Workspace, run: FoundRun) -> str:
    control.remove(workspace, run.directory)
    return "deleted"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} runs"

"""The command `report`."""

from __future__ import annotations

from pathlib import Path

from core.run.errors import EXIT_OK, UsageError
from s3tui.cli.commands.plot import read_to_draw
from s3tui.cli.diagnostics import say
from s3tui.runs.lookup import DEFAULT_FILE, find_workspace
from s3tui.runs.workspace import Workspace
from s3tui.system.output_file import check_output, write_output

FORMS = (".html", ".md")


def report(path: Path | None, output: Path) -> int:
    """Write the report of a suite, or of all suites of a workspace, into one file."""
    if output.suffix not in FORMS:
        raise UsageError(f"{output} is no report", f"its name should end with {' or '.join(FORMS)}")
    check_output(output)
    workspace, suite = _suite(path)
    names = [name for name in workspace.names() if not suite or name.startswith(f"{suite}/")]
    if not names:
        raise UsageError(f"there are no runs in {workspace.path / suite}", "run the suite first")
    write_output(output, _written(suite or str(workspace.path), workspace, names, output.suffix).encode())
    say(f"wrote {output}")
    return EXIT_OK


def _written(title: str, workspace: Workspace, names: list[str], form: str) -> str:
    from s3tui.report.content import content
    from s3tui.report.html import page
    from s3tui.report.markdown import markdown
    from s3tui.report.race_view import view_of
    from s3tui.runs.index import Board
    from s3tui.scheduling.races import races

    board = Board(workspace)
    board.refresh()
    raced = [view_of(race) for race in races(board) if any(name.startswith(f"{race.name}/") for name in names)]
    blocks = content(title, read_to_draw(workspace, names), raced)
    return page(title, blocks) if form == ".html" else markdown(blocks)


def _suite(path: Path | None) -> tuple[Workspace, str]:
    """The workspace and the suite that a file or a folder refers to; an empty suite means all."""
    path = path or Path(DEFAULT_FILE)
    if not path.exists():
        raise UsageError(f"there is no {path}", "name the TOML file of a suite, or the folder of a workspace")
    if path.is_file():
        from s3tui.suite.load import load

        suite = load(path)
        return Workspace(suite.workspace), suite.name
    workspace = find_workspace(path)
    return workspace, "" if workspace.path == path.resolve() else path.resolve().name

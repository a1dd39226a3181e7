"""The commands about races: from a data file to an answer, and how a race stands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.run.errors import EXIT_OK, UsageError, nearest
from s3tui.cli.diagnostics import say
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean

if TYPE_CHECKING:
    from s3tui.scheduling.dispatcher import Settings


def show(name: str, where: Path | None, as_json: bool) -> int:
    """Print how a race stands."""
    from s3tui.cli.race_answer import as_json as described
    from s3tui.cli.race_answer import lines, table
    from s3tui.runs.index import Board
    from s3tui.runs.lookup import find_workspace
    from s3tui.scheduling.races import races

    workspace = find_workspace(where)
    board = Board(workspace)
    board.refresh()
    known = {race.name: race for race in races(board)}
    found = [race for full, race in known.items() if name in (full, full.partition("/")[2])]
    found = found or [race for full, race in known.items() if f"/{full}".find(f"/{name}") >= 0]
    if len(found) != 1:
        what = "no race is" if not found else f"{len(found)} races are"
        hint = nearest(name, known) if known else "an experiment races where it has race = { ... }"
        raise UsageError(f"{what} called {name!r} in {workspace.path}", hint)
    if as_json:
        print(json.dumps(described(found[0]), indent=1))
        return EXIT_OK
    print_aligned(table(found[0]))
    print()
    print("\n".join(map(clean, lines(found[0], workspace.path.resolve()))))
    return EXIT_OK


def from_data(
    data: Path,
    text: Sequence[str],
    label: str | None,
    budget: str,
    time: str | None,
    model: str,
    suite: Path | None,
    detach: bool,
    settings: Settings | None = None,
) -> int:
    """Write the suite of a race for a data file, and run it."""
    from s3tui.cli.commands.suite import ask, print_data, run
    from s3tui.suite.own_data import described, name_of
    from s3tui.suite.race_suite import budget_of, check_time, suite_text
    from s3tui.system.output_file import check_output, write_output

    limit = budget_of(budget)
    check_time(time)
    file = suite or Path(f"{name_of(data)}-race.toml")
    if file.exists():
        raise UsageError(f"{file} exists already", f"s3tui run {file} goes on with it; --suite names another")
    check_output(file)
    own = described(data, text, label, ask if sys.stdin.isatty() and sys.stderr.isatty() else None)
    write_output(file, suite_text(own.keys, file, limit, time, model).encode())
    print_data(data, own)
    say(f"wrote {file}; s3tui run {file} goes on with the race if it is interrupted")
    return run(file, (), fresh=False, detach=detach, settings=settings)

"""The commands about races: from a data file to an answer, how a race stands, and what is decided by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.run.errors import EXIT_OK, UsageError, nearest
from s3tui.cli.diagnostics import confirmed, say
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean

if TYPE_CHECKING:
    from s3tui.runs.workspace import Workspace
    from s3tui.scheduling.dispatcher import Settings
    from s3tui.scheduling.races import Race


def show(name: str, where: Path | None, as_json: bool) -> int:
    """Print how a race stands."""
    from s3tui.report.race_answer import as_json as described
    from s3tui.report.race_answer import lines, table

    workspace, race = _race(name, where)
    if as_json:
        print(json.dumps(described(race), indent=1))
        return EXIT_OK
    print_aligned(table(race))
    print()
    print("\n".join(map(clean, lines(race, workspace.path.resolve()))))
    return EXIT_OK


def drop(name: str, arm: str, where: Path | None, as_json: bool) -> int:
    """Take an arm out of a race."""
    from s3tui.scheduling import race_by_hand

    return _decide_on(race_by_hand.drop, name, arm, where, as_json)


def keep(name: str, arm: str, where: Path | None, as_json: bool) -> int:
    """Let an arm go on wherever it stands."""
    from s3tui.scheduling import race_by_hand

    return _decide_on(race_by_hand.keep, name, arm, where, as_json)


def end(name: str, yes: bool, where: Path | None, as_json: bool) -> int:
    """End a race with what there is, after confirmation."""
    from s3tui.scheduling import race_by_hand

    workspace, race = _race(name, where)
    workspace.make_writable()
    if not yes and not confirmed(f"End the race {race.name} now, and confirm the best of what there is?"):
        raise UsageError("nothing was ended")
    return _print(workspace, race, {"": race_by_hand.end(workspace, race)}, as_json)


def add(name: str, number: int, where: Path | None, as_json: bool) -> int:
    """Draw more arms for a race with ranges."""
    from s3tui.suite.add_arms import add as added

    workspace, race = _race(name, where)
    workspace.make_writable()
    return _print(workspace, race, dict.fromkeys(added(workspace, race, number), "added"), as_json)


def _decide_on(
    decide: Callable[[Workspace, Race, str], str], name: str, arm: str, where: Path | None, as_json: bool
) -> int:
    workspace, race = _race(name, where)
    workspace.make_writable()
    found = _arm(race, arm)
    return _print(workspace, race, {f"{race.suite}/{found}": decide(workspace, race, found)}, as_json)


def _race(name: str, where: Path | None) -> tuple[Workspace, Race]:
    """The race of an experiment, by its name or a prefix; raises UsageError unless there is exactly one."""
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
    return workspace, found[0]


def _arm(race: Race, text: str) -> str:
    """The arm of a race with a number, a name, or a part of a name that no other has."""
    arms = race.record.arms
    if text.isdecimal() and int(text) < len(arms):
        return arms[int(text)]
    found = [arm for arm in arms if text in (arm, f"{race.suite}/{arm}", arm.partition("/")[2])]
    found = found or [arm for arm in arms if text in arm.partition("/")[2]]
    if len(found) != 1:
        what = "no arm is" if not found else f"{len(found)} arms are"
        raise UsageError(f"{what} called {text!r} in the race {race.name}", nearest(text, arms))
    return found[0]


def _print(workspace: Workspace, race: Race, done: Mapping[str, str], as_json: bool) -> int:
    """Print what was done, to each of these runs or to the race as a whole."""
    if as_json:
        runs = [{"name": name, "done": what} for name, what in done.items() if name]
        print(json.dumps({"race": race.name, "done": done.get("", ""), "runs": runs}, indent=1))
    else:
        print("\n".join(clean(f"{name or race.name}: {what}") for name, what in done.items()))
    if workspace.dispatcher() is None:
        say("no dispatcher is running for this workspace: start one with s3tui attach")
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
    """Write the suite of a race for a data file, and run it; one that is there already, as it would be, goes on."""
    from s3tui.cli.commands.suite import ask, print_data, run
    from s3tui.suite.own_data import described, name_of
    from s3tui.suite.race_suite import budget_of, check_time, suite_text
    from s3tui.system.output_file import check_output, write_output

    limit = budget_of(budget)
    check_time(time)
    file = suite or Path(f"{name_of(data)}-race.toml")
    there = file.read_bytes() if file.exists() else None
    if there is None:
        check_output(file)
    own = described(data, text, label, ask if sys.stdin.isatty() and sys.stderr.isatty() else None)
    wanted = suite_text(own.keys, file, limit, time, model).encode()
    if there not in (None, wanted):
        raise UsageError(f"{file} exists already", f"s3tui run {file} goes on with it; --suite names another")
    if there is None:
        write_output(file, wanted)
        print_data(data, own)
        say(f"wrote {file}; the same command, or s3tui run {file}, goes on with the race if it is interrupted")
    return run(file, (), fresh=False, detach=detach, settings=settings)

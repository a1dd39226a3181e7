"""The commands about suites: init, validate, run, attach, results, doctor."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.run.errors import EXIT_FAILED, EXIT_OK, UsageError
from s3tui.cli.diagnostics import say
from s3tui.runs.lookup import DEFAULT_FILE
from s3tui.text.columns import print_aligned
from s3tui.text.sanitize import clean

if TYPE_CHECKING:
    from s3tui.runs.workspace import FoundRun, Workspace
    from s3tui.scheduling.dispatcher import Settings
    from s3tui.suite.beforehand import Beforehand, Look
    from s3tui.suite.load import PlannedRun, Suite
    from s3tui.suite.own_data import OwnData
    from s3tui.text.serialize import Form

MAX_LINES = 20  # listed runs without a result
MAX_NAMES = 5  # in one message


def init(file: Path) -> int:
    """Write the example suite to a new file."""
    from importlib.resources import files

    from s3tui.system.output_file import write_output

    write_output(file, files("s3tui").joinpath("starter.toml").read_bytes())
    _say_next(file)
    return EXIT_OK


def _say_next(file: Path) -> None:
    say(f"wrote {file}; next: s3tui validate {file}, then s3tui run {file}")


def init_for(file: Path, data: Path, text: Sequence[str], label: str | None) -> int:
    """Write a suite for a data file, and print a summary of the data."""
    from s3tui.suite.own_data import described, suite_text
    from s3tui.system.output_file import check_output, write_output

    check_output(file)
    own = described(data, text, label, ask if sys.stdin.isatty() and sys.stderr.isatty() else None)
    write_output(file, suite_text(own.keys, file).encode())
    print_data(data, own)
    _say_next(file)
    return EXIT_OK


def print_data(data: Path, own: OwnData) -> None:
    """Print which columns of a data file are read, and a summary of its rows."""
    from s3tui.suite.data_text import examples, lines

    print(clean(f"{data}: text in {', '.join(own.keys['text'])}; label in {own.keys['label']}"))
    for line in (*lines(own.look), *examples(own.look)):
        print(clean(f"  {line}"))
    for kind in ("warnings", "notes"):
        for line in own.look[kind]:
            print(clean(f"{kind[:-1]}: {line}"))


def ask(question: str, guess: str) -> str:
    """Ask a question on the terminal; Enter accepts the guess."""
    say(f"{question} {f'[{guess}] ' if guess else ''}")
    return sys.stdin.readline().strip() or guess


def validate(file: Path, as_json: bool) -> int:
    """Print the runs that a suite plans and a summary of their data; all problems are raised at once."""
    from s3tui.notify.services import doubts
    from s3tui.suite.beforehand import examine
    from s3tui.suite.launcher_checks import check_launchers, decided
    from s3tui.text.problems import ConfigError

    try:
        suite = _sound(file)
    except ConfigError as error:
        if as_json:
            nothing: dict[str, object] = {"runs": [], "tasks": [], "spaces": [], "warnings": [], "notes": []}
            print(json.dumps({"suite": None, "workspace": None, "problems": error.problems} | nothing))
        raise
    check_launchers(decided(suite.runs, None))
    seen = examine(suite.runs)
    seen = replace(seen, warnings=(*seen.warnings, *doubts(suite.notify)))
    runs = [_planned(run) for run in suite.runs]
    problems = [f"{file}: {problem}" for problem in seen.problems]
    if as_json:
        about = {"suite": suite.name, "workspace": str(suite.workspace), "runs": runs}
        lines = {"problems": problems, "warnings": seen.warnings, "notes": seen.notes}
        print(
            json.dumps(
                about | {"tasks": [_without_key(look) for look in seen.tasks], "spaces": seen.spaces} | lines, indent=1
            )
        )
    else:
        print(f"{len(runs)} run{'' if len(runs) == 1 else 's'} in {clean(str(suite.folder))}")
        columns = [[str(run["name"]), str(run["method"]), str(run["task"]), _budget(run["budget"])] for run in runs]
        print_aligned(columns)
        _print_data(seen)
        _print_spaces(seen)
        _print_lines(seen)
    if problems:
        raise ConfigError(problems)
    if not as_json:
        say(f"next: s3tui run {shlex.quote(str(file))}")
    return EXIT_OK


def _sound(file: Path) -> Suite:
    """The suite in a file; of one with problems, those of the data that its other runs read are raised too."""
    from s3tui.suite.beforehand import problems_of_data
    from s3tui.suite.load import sound_part
    from s3tui.text.problems import ConfigError

    suite, problems = sound_part(file)
    if problems.lines:
        raise ConfigError([*problems.lines, *(f"{file}: {problem}" for problem in problems_of_data(suite.runs))])
    return suite


def _without_key(look: Look) -> Look:
    return {name: value for name, value in look.items() if name != "key"}


def _print_data(seen: Beforehand) -> None:
    from s3tui.suite.data_text import examples, lines

    for look in seen.tasks:
        print()
        print(clean(f"data of {', '.join(look['experiments'])}: {look['task']}"))
        for line in (*lines(look), *examples(look)):
            print(clean(f"  {line}"))


def _print_spaces(seen: Beforehand) -> None:
    from s3tui.suite.size import in_words

    for space in seen.spaces:
        print()
        print(clean(f"space of {', '.join(space['experiments'])}: {space['space']} on {space['model']}"))
        print(f"  {space['candidates']:,} candidates, {space['parameters']:,} parameters")
        if space["exports"]:
            print(clean(f"  exports: {in_words(space['exports'])}"))


def _print_lines(seen: Beforehand) -> None:
    said = [*(f"warning: {line}" for line in seen.warnings), *(f"note: {line}" for line in seen.notes)]
    print("\n".join(["", *map(clean, said)]) if said else "", end="\n" if said else "")


def _planned(run: PlannedRun) -> dict[str, str | float | None]:
    task = run.spec.task.model_dump()
    return {
        "name": run.name,
        "method": run.spec.method,
        "task": task.get("name") or task.get("path"),
        "budget": run.spec.budget,
        "spec": run.spec.digest(),
    }


def _budget(budget: str | float | None) -> str:
    if budget is None:
        return "no budget"
    return f"{float(budget):.4%} of the model" if float(budget) < 1 else f"{budget:,.0f} parameters"


def run(
    file: Path,
    only: Sequence[str],
    fresh: bool,
    detach: bool,
    settings: Settings | None = None,
    launcher: str | None = None,
    yes: bool = True,
) -> int:
    """Queue the runs of a suite and run them to the end; prints the results and the failures.

    Without `yes`, it lists what `fresh` would delete and asks. `launcher` overrides that of the suite. `settings` are
    given by tests, with a substitute for the worker.
    """
    from s3tui.cli.foreground.session import Session, stop_or_ask
    from s3tui.runs.workspace import Workspace
    from s3tui.suite.load import load
    from s3tui.suite.plan import select
    from s3tui.suite.submit import submit

    suite = load(file)
    chosen = select(suite, only)
    _refuse_bad_data(suite, file, chosen)
    if fresh and not yes:
        _ask_to_replace(suite, chosen)
    todo = submit(suite, chosen, fresh, launcher)
    workspace = Workspace(suite.workspace)
    for planned in todo.start:
        if planned.name in todo.replaced:
            say(f"{planned.name}: what was there is deleted; it starts with the settings of {file}")
    for finished in todo.finished:
        say(f"{finished.name}: finished before, skipped")
    if fresh and not todo.replaced:
        say("--fresh replaced nothing: it replaces runs whose settings changed; s3tui rm deletes others")
    if detach:
        return _detach(workspace, len(todo.start), settings)
    names = [planned.name for planned in (*todo.start, *todo.resting)]
    runs = []
    if names:
        runs = Session(workspace, suite.name, names, len(todo.finished), settings).run(stop_or_ask)
    return _print_outcome(suite, file, runs, workspace.reasons())


def _refuse_bad_data(suite: Suite, file: Path, chosen: Sequence[PlannedRun]) -> None:
    """Raise ConfigError before a worker starts on files of the user's that it would refuse."""
    from s3tui.suite.beforehand import problems_of_files
    from s3tui.text.problems import ConfigError

    problems = problems_of_files([run for run in chosen if not (suite.folder / run.name / "result.json").exists()])
    if problems:
        raise ConfigError([f"{file}: {problem}" for problem in problems])


def _ask_to_replace(suite: Suite, chosen: Sequence[PlannedRun]) -> None:
    """List the runs that would be replaced and ask; those that never began to train are replaced without asking."""
    from s3tui.cli.diagnostics import confirmed
    from s3tui.suite.plan import outlooks

    lost = [one for one in outlooks(suite, chosen, fresh=True) if one.replaced and one.trained]
    if not lost:
        return
    for one in lost:
        say(f"{one.run.name} ({one.state}): --fresh deletes it, results too")
    if not confirmed(f"Delete {'this run' if len(lost) == 1 else f'these {len(lost)} runs'} and start anew?"):
        raise UsageError("nothing was deleted")


def dry_run(file: Path, only: Sequence[str], launcher: str | None) -> int:
    """Print what would be submitted to a cluster, and submit nothing."""
    from s3tui.runs.records.launch import LOCAL
    from s3tui.suite.launcher_checks import decided
    from s3tui.suite.launcher_preview import previews
    from s3tui.suite.load import load
    from s3tui.suite.plan import select

    suite = load(file)
    runs = decided(select(suite, only), launcher)
    for run in runs:
        if run.queue.launch.kind == LOCAL:
            say(f"{run.name}: runs on this machine")
    for text in previews(suite, runs):
        print(text)
    return EXIT_OK


def _detach(workspace: Workspace, queued: int, settings: Settings | None) -> int:
    from s3tui.scheduling.dispatcher import Settings
    from s3tui.scheduling.dispatcher_lock import who_dispatches
    from s3tui.scheduling.start_detached import start_detached

    failed = () if workspace.dispatcher() is not None else start_detached(workspace, (settings or Settings()).command)
    if failed:
        say(f"s3tui: {queued} queued, but their dispatcher ended at once (log: {workspace.dispatcher_log})")
        for line in failed:
            say(f"    {line}")
        return EXIT_FAILED
    say(f"{queued} queued; {who_dispatches(workspace)} dispatches; s3tui attach watches")
    return EXIT_OK


def _print_outcome(suite: Suite, file: Path, runs: Sequence[FoundRun], reasons: Mapping[str, str]) -> int:
    """Print the results of a suite, and the failure report of each unsuccessful run, or else what to do next."""
    from s3tui.cli.next_step import after_results
    from s3tui.cli.results_table import print_table
    from s3tui.results.standings import standings
    from s3tui.results.summary import grouped
    from s3tui.results.verdicts import diagnose
    from s3tui.runs.failure import exit_code_for, failure_of
    from s3tui.runs.over import rests

    prefix, rows = f"{suite.name}/", grouped(_of_suite(suite))
    print_table(standings(rows), diagnose(rows))
    answered = _print_races(suite)
    failed = [run for run in runs if not rests(run)]
    failures = [f for run in failed if (f := failure_of(run, run.name.removeprefix(prefix), reasons.get(run.name, "")))]
    for failure in failures:
        say(str(failure))
        for line in failure.tail:
            say(f"    {line}")
    if not failures and not answered:  # the answer of a race ends with the next command
        after_results(rows, file, prefix)
    return exit_code_for([failure for failure in failures if failure.run not in answered])


def _print_races(suite: Suite) -> set[str]:
    """Print the answers of the races of a suite; the names of the arms of those that have one."""
    from s3tui.race.facts import answer
    from s3tui.report.race_answer import lines
    from s3tui.runs.index import Board
    from s3tui.runs.workspace import Workspace
    from s3tui.scheduling.races import races

    answered: set[str] = set()
    if not suite.races:
        return answered
    board = Board(Workspace(suite.workspace))
    board.refresh()
    for race in races(board, suite.name):
        if race.name.partition("/")[2] in suite.races:
            print()
            print("\n".join(map(clean, lines(race, suite.workspace))))
            if answer(race.record, race.runs) is not None:
                answered.update(race.record.arms)
    return answered


def attach(where: Path | None, settings: Settings | None = None) -> int:
    """Watch all runs of a workspace, and dispatch them unless another process does."""
    from s3tui.cli.foreground.session import Session, leave_or_ask
    from s3tui.runs.lookup import find_workspace

    workspace = find_workspace(where)
    workspace.make_writable()
    runs = Session(workspace, "", (), settings=settings).run(leave_or_ask)
    done = sum(run.status.name == "finished" for run in runs)
    say(f"{done} of {len(runs)} runs finished; s3tui list shows the others")
    return EXIT_OK


def results(path: Path | None, form: Form) -> int:
    """Print the results of a suite or a workspace; runs without a result are listed on stderr."""
    from s3tui.cli import results_table
    from s3tui.cli.next_step import after_results
    from s3tui.results.standings import standings
    from s3tui.results.summary import grouped, without_result
    from s3tui.results.verdicts import diagnose

    path = path or _only_suite()
    folder, found, prefix = _runs_of(path)
    rows = grouped(found)
    show = {"table": results_table.print_table, "json": results_table.print_json, "csv": results_table.print_csv}[form]
    show(standings(rows), diagnose(rows))
    if not rows:
        say(f"no finished run in {folder}")
    _say_some(without_result(found))
    if form == "table":
        after_results(rows, path, prefix)
    return EXIT_OK


def _runs_of(path: Path) -> tuple[Path, list[FoundRun], str]:
    """The folder of the suite in a file with the runs of that suite, or the folder itself with all of its runs.

    Also what the names of the runs lack in the workspace.
    """
    from s3tui.runs.workspace import find_runs

    if path.is_dir():
        return path, find_runs(path), ""
    if not path.exists():
        raise UsageError(f"there is no {path}", "name the TOML file of a suite, or the folder of a workspace")
    from s3tui.suite.load import load  # imported here, as a folder does not need pydantic

    suite = load(path)
    return suite.folder, _of_suite(suite), f"{suite.name}/"


def _of_suite(suite: Suite) -> list[FoundRun]:
    """The runs of a suite; those of its folder that it has no longer are left out, with a line that says so."""
    from s3tui.runs.workspace import find_runs

    planned = {run.name for run in suite.runs}
    planned.update(name for record in suite.races.values() for name in record.confirmations())
    found = find_runs(suite.folder)
    former = [run.name for run in found if run.name not in planned]
    if former:
        names = ", ".join(former[:MAX_NAMES]) + (", ..." if len(former) > MAX_NAMES else "")
        say(
            f"{len(former)} run{'' if len(former) == 1 else 's'} left out that the suite no longer has: {names} "
            f"(s3tui results {suite.folder} shows all)"
        )
    return [run for run in found if run.name in planned]


def _only_suite() -> Path:
    """The file `experiments.toml`; without it raises UsageError that names the suites that there are."""
    from s3tui.suite.discover import suite_files

    default = Path(DEFAULT_FILE)
    if default.exists():
        return default
    suites = [file.path for file in suite_files([Path.cwd()]) if not file.problem]
    if not suites:
        raise UsageError(f"there is no {default}", "name the TOML file of a suite, or the folder of a workspace")
    known = ", ".join(os.path.relpath(path) for path in suites[:MAX_NAMES])
    more = f" and {len(suites) - MAX_NAMES} more" if len(suites) > MAX_NAMES else ""
    raise UsageError(f"there is no {default}", f"suites here: {known}{more}; name one, or the folder of a workspace")


def _say_some(lines: Iterable[str]) -> None:
    lines = list(lines)
    for line in itertools.islice(lines, MAX_LINES):
        say(line)
    if len(lines) > MAX_LINES:
        say(f"and {len(lines) - MAX_LINES} more without a result")


def doctor(as_json: bool) -> int:
    """Print the checks of this machine."""
    from s3tui.cli.commands.doctor import can_run, examine

    checks = examine()
    able = can_run(checks)
    if as_json:
        print(json.dumps({"ok": able, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        print_aligned([[_mark(check.ok, check.needed), check.name, check.detail] for check in checks])
        print(f"The default suite {'can' if able else 'cannot'} run here.")
    return EXIT_OK if able else EXIT_FAILED


def _mark(ok: bool, needed: bool) -> str:
    return "ok" if ok else "MISSING" if needed else "-"

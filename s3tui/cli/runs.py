"""The commands about existing runs: showing and controlling them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

commands = typer.Typer(rich_markup_mode=None)


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, for shell completion."""
    from core.run.errors import S3Error
    from s3tui.runs.lookup import find_workspace

    where = context.params.get("where")
    try:
        names = find_workspace(Path(where) if where else None).names()
    except S3Error:
        return []
    short = [name.partition("/")[2] for name in names]
    return [name for name in (*names, *short) if name.startswith(incomplete)]


Run = Annotated[str, typer.Argument(metavar="RUN", help="A name or a unique prefix.", autocompletion=complete_run)]
Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Names, unique prefixes, or patterns.", autocompletion=complete_run),
]
SomeRuns = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Names, unique prefixes, or patterns.", autocompletion=complete_run),
]


def path_of(text: str) -> Path:
    """A path argument; raises UsageError for an empty one, as from an unset variable."""
    if not text:
        from core.run.errors import UsageError

        raise UsageError("the path is empty", "give a path, or leave the option out")
    return Path(text)


Where = Annotated[
    Path | None,
    typer.Option(
        "--in", metavar="PATH", parser=path_of, help="A workspace, or the file of a suite; experiments.toml by default."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Continue until the run ends.")]


@commands.command()
def attach(where: Where = None) -> None:
    """Watch the runs of a workspace. Dispatches them unless another process does."""
    from s3tui.cli.commands import suite as commands

    raise typer.Exit(commands.attach(where))


@commands.command()
def status(where: Where = None, as_json: Json = False) -> None:
    """Show the state of all suites. Lists what runs, and what waits and why."""
    from s3tui.cli.commands import show as looking

    raise typer.Exit(looking.status(where, as_json))


@commands.command("list", context_settings={"ignore_unknown_options": True})
def list_runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILTER]...", help="Such as status:running, 'test>80', -tag:old, or part of a name."),
    ] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="KEY", help="A column; -KEY for the largest first.")] = "name",
    group: Annotated[
        str,
        typer.Option("--group", metavar="KEY", help="Group by task, method or a setting, with mean scores."),
    ] = "",
    where: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List the runs that pass all filters."""
    from s3tui.cli.commands import list_runs as lists

    form: Literal["table", "json", "csv"] = "json" if as_json else "csv" if as_csv else "table"
    raise typer.Exit(lists.list_runs(words or [], sort, group, where, form))


@commands.command()
def show(run: Run, where: Where = None, as_json: Json = False) -> None:
    """Show all details of a run."""
    from s3tui.cli.commands import show as looking

    raise typer.Exit(looking.show(run, where, as_json))


@commands.command()
def path(run: Run, where: Where = None, as_json: Json = False) -> None:
    """Print the folder of a run. Example: cd \"$(s3tui path RUN)\"."""
    from s3tui.cli.commands import show as looking

    raise typer.Exit(looking.path(run, where, as_json))


@commands.command()
def logs(
    run: Run,
    follow: Follow = False,
    lines: Annotated[int | None, typer.Option("--lines", "-n", min=0, help="Only the last N lines.")] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Print the log of a run's worker."""
    from s3tui.cli.commands import follow as following

    raise typer.Exit(following.logs(run, follow, lines, where, as_json))


@commands.command()
def events(run: Run, follow: Follow = False, where: Where = None, as_json: Json = False) -> None:
    """Print the events of a run."""
    from s3tui.cli.commands import follow as following

    raise typer.Exit(following.events(run, follow, where, as_json))


@commands.command()
def mirror(
    runs: Runs,
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="TRACKER", help="tensorboard, wandb, mlflow or trackio; may be repeated."),
    ],
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Send events of runs to experiment trackers. Works for finished runs too; nothing is sent twice."""
    from s3tui.cli.commands import mirror as command

    raise typer.Exit(command.mirror(runs, to, where, as_json))


@commands.command()
def stop(
    runs: Runs,
    now: Annotated[bool, typer.Option("--now", help="Kill at once; work since the last checkpoint is lost.")] = False,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Stop runs with a checkpoint, until `resume`. Waiting runs are kept from starting."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.stop(runs, now, where, as_json))


@commands.command()
def pause(runs: SomeRuns = None, where: Where = None, as_json: Json = False) -> None:
    """Pause the queue, so that nothing starts. With runs it is the same as `stop`."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.pause(runs or [], where, as_json))


@commands.command()
def resume(runs: SomeRuns = None, where: Where = None, as_json: Json = False) -> None:
    """Resume the queue. With runs, resume those from their checkpoint."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.resume(runs or [], where, as_json))


@commands.command()
def retry(runs: Runs, where: Where = None, as_json: Json = False) -> None:
    """Queue failed, dead or cancelled runs again. They resume from their checkpoint."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.retry(runs, where, as_json))


@commands.command()
def cancel(runs: Runs, where: Where = None, as_json: Json = False) -> None:
    """Kill runs, and remove them from the queue. All processes that they started are killed too."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.cancel(runs, where, as_json))


@commands.command(context_settings={"ignore_unknown_options": True})
def priority(
    run: Run,
    value: Annotated[
        int, typer.Argument(metavar="PRIORITY", min=-(10**9), max=10**9, help="0 is the default; higher starts first.")
    ],
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Set the priority of runs. Those with a higher one start first."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.priority(run, value, where, as_json))


@commands.command()
def rm(
    runs: Runs,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Delete runs with all their files. Asks first; never deletes running ones."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.rm(runs, yes, where, as_json))


@commands.command()
def gc(where: Where = None, as_json: Json = False) -> None:
    """Delete files that are not needed. These are leftovers of killed processes, and checkpoints of finished runs."""
    from s3tui.cli.commands import control_runs

    raise typer.Exit(control_runs.gc(where, as_json))

"""The command line of s3tui: suites, results, models. Only Typer is imported before a command runs, for a fast help."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.run.errors import UsageError
from s3tui.cli import race, runs, structure
from s3tui.cli.diagnostics import PROGRAM, guarded
from s3tui.cli.runs import path_of

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, invoke_without_command=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The TOML file of a suite.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[
    Path | None,
    typer.Argument(
        metavar="[WORKSPACE]", parser=path_of, help="A workspace, or the file of a suite; experiments.toml by default."
    ),
]


def main() -> None:
    """Run the command line and exit with its code."""
    # Our child processes load transformers, which needs docstrings, so they must not run with PYTHONOPTIMIZE.
    os.environ.pop("PYTHONOPTIMIZE", None)
    sys.exit(guarded(lambda: app(prog_name=PROGRAM)))


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search for the few parameters of a pretrained transformer that are worth training, and watch the search."""
    if context.invoked_subcommand is None:
        # The app needs a terminal; without one, print the help.
        if sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty():
            from s3tui.cli.commands import open_app as opening

            raise typer.Exit(opening.open_app(None))
        print(context.get_help())


@app.command("open")
def open_app(
    where: Where = None,
    watch: Annotated[bool, typer.Option("--watch", help="Start no queued runs here, and do not ask.")] = False,
) -> None:
    """Open the app: all runs of a workspace, live. This is also what s3tui does without a command."""
    from s3tui.cli.commands import open_app as opening

    raise typer.Exit(opening.open_app(where, watch=watch))


@app.command()
def serve(
    where: Where = None,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Listen there; elsewhere than on this machine with a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Listen on this port; 0 is any free one.")
    ] = 8000,
    changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let the browser start, stop and delete runs, too.")
    ] = False,
) -> None:
    """Show the app in browsers, read-only."""
    from s3tui.cli.commands import serve as serving

    raise typer.Exit(serving.serve(where, host, port, changes))


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The new file.")] = Path("experiments.toml"),
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PATH", parser=path_of, help="A data file, or a folder of splits."),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="COLUMN", help="A column with text; may be repeated.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="The column with the label.")] = None,
) -> None:
    """Write a commented example suite; with --data for a data file, whose format and columns are detected."""
    from s3tui.cli.commands import suite

    if data is not None:
        raise typer.Exit(suite.init_for(file, data, text or [], label))
    if text or label:
        raise UsageError("--text and --label name columns of a data file", "name that, too, with --data")
    raise typer.Exit(suite.init(file))


@app.command()
def validate(file: File, as_json: Json = False) -> None:
    """Check a suite and list the runs that it plans. Reports all problems of the file at once."""
    from s3tui.cli.commands import suite

    raise typer.Exit(suite.validate(file, as_json))


@app.command()
def run(
    file: File,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="GLOB", help="Only runs or experiments whose name matches.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace runs whose settings changed. Lists them, and asks.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --fresh deletes runs.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background and return at once.")] = False,
    launcher: Annotated[
        str | None,
        typer.Option(
            "--launcher",
            metavar="NAME",
            help="Where runs are started, whatever [launcher] of the suite says: local, auto, or a cluster.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the batch scripts and submit nothing.")] = False,
) -> None:
    """Run a suite and print its results. Finished runs are skipped, unfinished ones are resumed."""
    from s3tui.cli.commands import suite

    if dry_run:
        raise typer.Exit(suite.dry_run(file, only or [], launcher))
    raise typer.Exit(suite.run(file, only or [], fresh, detach, launcher=launcher, yes=yes))


@app.command()
def results(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE|WORKSPACE]", parser=path_of, help="A suite or a folder of runs; experiments.toml by default."
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print the results, best first. Scores are averaged over runs that differ only in the seed."""
    from s3tui.cli.commands import suite

    raise typer.Exit(suite.results(path, "json" if as_json else "csv" if as_csv else "table"))


@app.command()
def sites(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A builtin model, a name on the hub, a folder, or a .gguf file.")
    ],
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="NAME|FILE",
            help="A space of the library, a structure file (.json), or a suite (.toml) with spaces of its own; "
            "by default all of the library.",
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let Python code in the model's files run.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the sites of a model, and the sizes of spaces. Needs no weights."""
    from s3tui.cli.commands import sites

    raise typer.Exit(sites.sites(model, space, trust, as_json))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check what this machine has and lacks. Exits with 1 if the default suite cannot run."""
    from s3tui.cli.commands import suite

    raise typer.Exit(suite.doctor(as_json))


app.add_typer(runs.commands)
app.add_typer(race.race, name="race")
app.add_typer(structure.structure, name="structure")
app.add_typer(structure.pictures)

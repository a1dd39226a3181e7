"""The command `race`: from a data file to an answer, how a race stands, and what is decided by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from s3tui.cli.runs import Json, Where, path_of

START = "data"


class DataByDefault(TyperGroup):
    """A group of commands in which the path of a data file may take the place of a command."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - those of click, vendored
        """Put the name of the first command before a path."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = [START, *args]
        return super().parse_args(ctx, args)


race = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, cls=DataByDefault,
    help="Race structures and rates for a data file (s3tui race FILE.csv), or show and steer a race.",
)  # fmt: skip


@race.command(START)
def from_data(
    data: Annotated[Path, typer.Argument(metavar="FILE", parser=path_of, help="A data file, or a folder of splits.")],
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="COLUMN", help="A column with text; may be repeated.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="The column with the label.")] = None,
    budget: Annotated[
        str, typer.Option("--budget", metavar="SHARE", help="What may be trained: 0.04% of the model, or a number.")
    ] = "0.04%",
    time: Annotated[
        str | None, typer.Option("--time", metavar="TIME", help="Compute to spend over all runs: 30m, 2h, 1h30m.")
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", metavar="MODEL", help="A builtin model, a name on the hub, a folder, or a .gguf file."),
    ] = "builtin:minilm",
    suite: Annotated[
        Path | None,
        typer.Option("--suite", metavar="TOML", parser=path_of, help="The suite to write; NAME-race.toml by default."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background and return at once.")] = False,
) -> None:
    """Write a suite in which structures and learning rates race for a data file, and run it to the answer."""
    from s3tui.cli.commands import race as command

    raise typer.Exit(command.from_data(data, text or [], label, budget, time, model, suite, detach))


Name = Annotated[str, typer.Argument(metavar="NAME", help="The experiment of a race, or a prefix.")]
Arm = Annotated[
    str, typer.Argument(metavar="ARM", help="An arm: its number, its name, or a part of that which no other arm has.")
]


@race.command()
def show(
    name: Name,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Show how a race stands: each arm with the rung that it reached, and the answer."""
    from s3tui.cli.commands import race as command

    raise typer.Exit(command.show(name, where, as_json))


@race.command()
def drop(name: Name, arm: Arm, where: Where = None, as_json: Json = False) -> None:
    """Take an arm out of a race. One that is under way stops with a checkpoint; keep takes it back."""
    from s3tui.cli.commands import race as command

    raise typer.Exit(command.drop(name, arm, where, as_json))


@race.command()
def keep(name: Name, arm: Arm, where: Where = None, as_json: Json = False) -> None:
    """Let an arm go on at every rung and into the final, wherever it stands."""
    from s3tui.cli.commands import race as command

    raise typer.Exit(command.keep(name, arm, where, as_json))


@race.command()
def add(
    name: Name,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="How many arms.")],
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Add arms to a race with ranges. Their values are drawn by what the arms so far have scored."""
    from s3tui.cli.commands import race as command

    raise typer.Exit(command.add(name, number, where, as_json))


@race.command()
def end(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """End a race with what there is. What runs stops with a checkpoint, and the best arms are confirmed."""
    from s3tui.cli.commands import race as command

    raise typer.Exit(command.end(name, yes, where, as_json))

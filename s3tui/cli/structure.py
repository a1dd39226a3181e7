"""The commands about structures (show, compare, average, convert), and plots, reports and exports of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s3tui.cli.runs import Json, Runs, Where, complete_run, path_of

structure = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
pictures = typer.Typer(rich_markup_mode=None)

One = Annotated[
    str, typer.Argument(metavar="RUN|FILE", help="A run, or a structure file.", autocompletion=complete_run)
]
Several = Annotated[
    list[str],
    typer.Argument(metavar="RUN|FILE...", help="Runs (names or patterns), or files.", autocompletion=complete_run),
]
Like = Annotated[
    str | None,
    typer.Option("--like", metavar="RUN|FILE", help="The structure whose candidates a file of the paper's code names."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the structure there.")]
Selection = Annotated[str, typer.Option("--selection", metavar="RULE", help="first-fit or knapsack.")]


@structure.callback()
def root() -> None:
    """Show and compare structures, and make new ones from them."""


@structure.command()
def show(which: One, like: Like = None, where: Where = None, as_json: Json = False) -> None:
    """Show what a structure trains. Counts and parameters by delta, site and layer."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.show(which, like, where, as_json))


@structure.command()
def diff(a: One, b: One, like: Like = None, where: Where = None, as_json: Json = False) -> None:
    """Show what only one of two structures trains, and their overlap."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.diff(a, b, like, where, as_json))


@structure.command()
def mean(
    which: Several,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Share of the model, or count; by default that of the first."),
    ] = None,
    selection: Selection = "first-fit",
    output: Output = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Average the probabilities of runs of one space, and select a structure under a budget."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.mean_of(which, budget, selection, output, where, as_json))


@structure.command()
def agreement(which: Several, where: Where = None, as_json: Json = False) -> None:
    """Show how far structures agree. How often each candidate is chosen, and the overlap of pairs."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.agree(which, where, as_json))


@structure.command("random")
def draw(
    like: Annotated[str, typer.Option("--like", metavar="RUN|FILE", help="Whose space and budget.")],
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Another seed, another structure.")] = 0,
    output: Output = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Make a random structure from the space and under the budget of another."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.draw(like, seed, output, where, as_json))


@structure.command()
def reselect(
    which: One,
    budget: Annotated[float, typer.Option("--budget", help="Share of the model, or count.")],
    selection: Selection = "first-fit",
    output: Output = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Select again under another budget, from the probabilities that a search has found."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.mean_of([which], budget, selection, output, where, as_json))


@structure.command()
def convert(
    which: One,
    like: Like = None,
    output: Output = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Convert a structure to the format of the paper's code, or such a file to our format."""
    from s3tui.cli.commands import structure as structuring

    raise typer.Exit(structuring.convert(which, like, output, where, as_json))


@pictures.command()
def plot(
    runs: Runs,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="structure, gates, loss, budget, pareto or transfer.")
    ] = "structure",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A png, pdf or svg, for a paper.")
    ] = None,
    where: Where = None,
) -> None:
    """Plot runs, in the terminal or into a file. Heat map, gates, losses, budget, scores, transfers."""
    from s3tui.cli.commands.plot import plot

    raise typer.Exit(plot(runs, kind, output, where))


@pictures.command()
def report(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="An html or md file.")],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SUITE]", parser=path_of, help="The file or folder of a suite, or a workspace; experiments.toml."
        ),
    ] = None,
) -> None:
    """Write a report on a suite. Results, structures, curves, settings, versions, time and energy."""
    from s3tui.cli.commands.report import report

    raise typer.Exit(report(path, output))


@pictures.command()
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that is finished.", autocompletion=complete_run)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to create.")],
    kind: Annotated[
        str, typer.Option("--to", metavar="FORM", help="delta (ours), merged (a whole model), or peft (an adapter).")
    ] = "delta",
    push: Annotated[
        str | None, typer.Option("--push", metavar="NAME", help="Upload it to the hub too, as this repository.")
    ] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Export what a run trained. The folder can be loaded by other programs, and has a model card."""
    from s3tui.cli.commands import export as exporting

    raise typer.Exit(exporting.export(run, kind, output, push, where, as_json))

"""The command `plot`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.run.errors import EXIT_OK, UsageError, nearest
from s3tui.cli.diagnostics import say
from s3tui.plot import panels
from s3tui.plot.load import Drawn, read_all
from s3tui.runs.lookup import find_names, find_workspace
from s3tui.runs.workspace import Workspace
from s3tui.system.output_file import check_output

KINDS = ("structure", "gates", "loss", "budget", "pareto", "transfer")


def plot(names: Sequence[str], kind: str, output: Path | None, where: Path | None) -> int:
    """Plot runs in the terminal, or into a file."""
    if kind not in KINDS:
        raise UsageError(f"no kind of picture is called {kind!r}", nearest(kind, KINDS))
    if output is not None:
        check_output(output)
    workspace = find_workspace(where)
    runs = read_to_draw(workspace, find_names(names, workspace.names()))
    if output is None:
        _print(runs, kind)
        return EXIT_OK
    _save(runs, kind, output)
    say(f"wrote {output}")
    return EXIT_OK


def read_to_draw(workspace: Workspace, names: Sequence[str]) -> list[Drawn]:
    """Load the runs; each file that cannot be read gives a line on stderr."""
    runs = read_all(workspace, names)
    for run in runs:
        if run.left_out:
            say(run.left_out)
    return runs


def _print(runs: Sequence[Drawn], kind: str) -> None:
    from s3tui.cli.commands.structure import print_map
    from s3tui.plot import terminal

    if kind == "structure":
        print_map(panels.structure_map(runs))
    elif kind == "transfer":
        terminal.print_transfer(panels.transfer_matrix(runs))
    elif kind == "pareto":
        terminal.print_pareto(panels.pareto_rows(runs))
    else:
        terminal.print_panels(PANELS[kind](runs))


def _save(runs: Sequence[Drawn], kind: str, output: Path) -> None:
    from s3tui.plot import matplotlib_figures

    if kind == "structure":
        found = panels.structure_map(runs)
        figure = matplotlib_figures.figure_of(lambda: matplotlib_figures.structure(found))
    elif kind == "transfer":
        matrix = panels.transfer_matrix(runs)
        figure = matplotlib_figures.figure_of(lambda: matplotlib_figures.transfer(matrix))
    elif kind == "pareto":
        contests = panels.pareto_rows(runs)
        figure = matplotlib_figures.figure_of(lambda: matplotlib_figures.pareto(contests))
    else:
        shown = PANELS[kind](runs)
        figure = matplotlib_figures.figure_of(lambda: matplotlib_figures.panels(shown))
    matplotlib_figures.save(figure, output)


PANELS = {"loss": panels.loss_panels, "budget": panels.budget_panels, "gates": panels.gate_panels}

"""What `s3tui plot` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.run.errors import EXIT_OK, SpecError, nearest
from s3tui.diagnostics import say
from s3tui.find import find_names, find_workspace
from s3tui.outputs import check_output
from s3tui.plot import data
from s3tui.plot.runs import Drawn, read_all

KINDS = ("structure", "gates", "loss", "budget", "pareto", "transfer")


def plot(names: Sequence[str], kind: str, output: Path | None, where: Path | None) -> int:
    """Draw runs in the terminal, or into a file."""
    if kind not in KINDS:
        raise SpecError(f"no kind of picture is called {kind!r}", nearest(kind, KINDS))
    if output is not None:
        check_output(output)
    workspace = find_workspace(where)
    runs = read_all(workspace, find_names(names, workspace.names()))
    if output is None:
        _print(runs, kind)
        return EXIT_OK
    _save(runs, kind, output)
    say(f"wrote {output}")
    return EXIT_OK


def _print(runs: Sequence[Drawn], kind: str) -> None:
    from s3tui.plot import terminal
    from s3tui.structuring import print_map

    if kind == "structure":
        print_map(data.structure_map(runs))
    elif kind == "transfer":
        terminal.print_transfer(data.transfer_matrix(runs))
    elif kind == "pareto":
        terminal.print_pareto(data.pareto_rows(runs))
    else:
        terminal.print_panels(PANELS[kind](runs))


def _save(runs: Sequence[Drawn], kind: str, output: Path) -> None:
    from s3tui.plot import paper

    if kind == "structure":
        found = data.structure_map(runs)
        figure = paper.figure_of(lambda: paper.structure(found))
    elif kind == "transfer":
        matrix = data.transfer_matrix(runs)
        figure = paper.figure_of(lambda: paper.transfer(matrix))
    elif kind == "pareto":
        contests = data.pareto_rows(runs)
        figure = paper.figure_of(lambda: paper.pareto(contests))
    else:
        shown = PANELS[kind](runs)
        figure = paper.figure_of(lambda: paper.panels(shown))
    paper.save(figure, output)


PANELS = {"loss": data.loss_panels, "budget": data.budget_panels, "gates": data.gate_panels}

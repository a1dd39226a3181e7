"""Figures for a paper, drawn with matplotlib: vector graphics, safe for colour-blind readers, of text width."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.run.errors import UsageError
from core.run.methods import METHODS
from s3tui.plot.labels import labelled
from s3tui.plot.panels import Matrix, Panel
from s3tui.results.summary import Row
from s3tui.structures.load import Heatmap
from s3tui.system.output_file import write_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
WIDTH = 5.5  # inches: the text width of NeurIPS and ICLR
LEGEND = 100  # characters of a legend that fit side by side
DOTS = 300  # per inch, of a png
# The colours of Okabe and Ito, distinguishable with all common kinds of colour vision, without the yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = "ov*s^DPX<>phd"  # of the methods, in the order of their table
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # bundled with matplotlib, so that figures are the same everywhere
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "text.parse_math": False,  # dollar signs in names are not formulas
    "pdf.fonttype": 42,  # text remains text
    "svg.hashsalt": "s3tui",  # equal figures give equal files
}


def figure_of(draw: Callable[[], Figure]) -> Figure:
    """Draw a figure in our style; raises UsageError if matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise UsageError("pictures need matplotlib", "pip install 's3tui[plot]'") from None
    with mpl.rc_context(STYLE):
        return draw()


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file extension; no file is overwritten."""
    if path.suffix not in FORMATS:
        raise UsageError(f"{path} is no picture", f"its name should end with {', '.join(FORMATS)}")
    write_output(path, rendered(figure, path.suffix[1:]))


def rendered(figure: Figure, form: str) -> bytes:
    """The content of the figure's file; without a date, so that equal figures give equal files."""
    import matplotlib as mpl

    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes, which its reader sees.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        figure.savefig(buffer, format=form, dpi=DOTS, bbox_inches="tight", pad_inches=0.02, metadata=undated[form])
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def structure(found: Heatmap) -> Figure:
    """The paper's heat map: brighter cells are more probable; dots mark chosen candidates, area = share of runs."""
    found = labelled(found)
    rows, columns = len(found.rows), len(found.columns)
    figure = _figure(max(WIDTH * 0.75, 2.1 + 0.115 * columns), 0.75 + 0.135 * rows)
    axes = figure.add_subplot()
    p = [[math.nan if cell is None else cell.p for cell in line] for line in found.cells]
    mesh = axes.pcolormesh(p, cmap="cividis", edgecolors="white", linewidth=0.4)
    dots = [
        (j + 0.5, i + 0.5, cell.selected)
        for i, line in enumerate(found.cells)
        for j, cell in enumerate(line)
        if cell is not None and cell.selected > 0
    ]
    axes.scatter(
        [x for x, _, _ in dots], [y for _, y, _ in dots], s=[11 * share for _, _, share in dots],
        c="white", edgecolors="black", linewidths=0.5, zorder=3,
    )  # fmt: skip
    axes.set_xticks([j + 0.5 for j in range(columns)], found.columns, rotation=90 if columns > 12 else 0)
    axes.set_yticks([i + 0.5 for i in range(rows)], found.rows)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    _bare(axes)
    _separate_stacks(axes, found.columns)
    _plain_letters(axes)
    axes.set_xlabel("layer")
    several = f", mean over {found.runs} runs" if found.runs > 1 else ""
    _bar(figure.colorbar(mesh, ax=axes, pad=0.015, aspect=30, shrink=0.9), f"probability p{several}")
    note = "dot: chosen" + (" (area: in what share of the runs)" if found.runs > 1 else "")
    axes.set_title(note, loc="right", fontsize=6.0, color="0.3", pad=3)
    return figure


def _bar(bar: Colorbar, label: str) -> None:
    """Style a colour bar: no frame, and vector graphics."""
    bar.set_label(label)
    bar.outline.set_visible(False)
    assert bar.solids is not None  # the bar is that of a mesh
    bar.solids.set(rasterized=False, edgecolor="face", linewidth=0.3)


def _bare(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)


def _plain_letters(axes: Axes) -> None:
    """Switch off ligatures in names of sites and deltas such as `ffn`, which matplotlib sets since 3.11."""
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        if hasattr(label, "set_fontfeatures"):
            label.set_fontfeatures(["-liga"])


def _separate_stacks(axes: Axes, columns: Sequence[str]) -> None:
    """Draw lines between the encoder, the decoder and the rest."""
    for j in range(1, len(columns)):
        if columns[j].partition(".")[0] != columns[j - 1].partition(".")[0]:
            axes.axvline(j, color="black", linewidth=0.8)


def panels(shown: Sequence[Panel], across: int = 2) -> Figure:
    """Line plots in a grid, with one legend for all of them."""
    shown = labelled(shown)
    across = min(across, len(shown))
    down = math.ceil(len(shown) / across)
    figure = _figure(WIDTH if across > 1 else WIDTH * 0.6, 1.75 * down + 0.35)
    labels = list(dict.fromkeys(line.label for panel in shown for line in panel.lines))
    grid = figure.subplots(down, across, squeeze=False)
    handles: dict[str, Any] = {}
    for axes, panel in zip(grid.flat, shown, strict=False):
        _panel(axes, panel, labels, handles)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    _legend(figure, handles)
    return figure


def _legend(figure: Figure, handles: dict[str, Any]) -> None:
    """One legend under all panels."""
    columns = _columns(handles)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, handlelength=2.0)


def _columns(labels: Iterable[str]) -> int:
    """The number of legend columns that fit into the width of the figure."""
    longest = max((len(label) for label in labels), default=1)
    return max(1, min(4, LEGEND // (longest + 9)))


def _panel(axes: Axes, panel: Panel, labels: Sequence[str], handles: dict[str, Any]) -> None:
    # Strong lines are drawn last, over the faint ones.
    for line in sorted(panel.lines, key=lambda line: not line.faint):
        number = labels.index(line.label)
        weight: dict[str, Any] = {"alpha": 0.28, "linewidth": 0.5} if line.faint else {}
        (drawn,) = axes.plot(line.curve.x, line.curve.y, **_look(number), **weight)
        if not line.faint:
            handles.setdefault(line.label, drawn)
    if panel.limit is not None:
        name, value = panel.limit
        handles.setdefault(name, axes.axhline(value, color="0.35", linewidth=0.7, linestyle=(0, (1, 1))))
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)


def _look(number: int) -> dict[str, Any]:
    """The colour of a label; with more labels than colours the dashes differ too."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
    }


def pareto(contests: Sequence[Sequence[Row]]) -> Figure:
    """Score against trained parameters, a panel for each task; runs without trained parameters are a line."""
    contests = labelled(contests)
    across = min(2, len(contests))
    down = math.ceil(len(contests) / across)
    figure = _figure(WIDTH if across > 1 else WIDTH * 0.65, 2.1 * down + 0.5)
    experiments = list(dict.fromkeys(_experiment(row) for rows in contests for row in rows))
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    handles: dict[str, Any] = {}
    for axes, rows in zip(grid, contests, strict=False):
        _contest(axes, rows, experiments)
        drawn, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    for axes in grid[len(contests) :]:
        axes.set_visible(False)
    _legend(figure, handles)
    return figure


def _contest(axes: Axes, rows: Sequence[Row], experiments: Sequence[str]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    first = rows[0]
    for number, name in enumerate(experiments):
        mine = sorted((row for row in rows if _experiment(row) == name), key=lambda row: row.parameters)
        colour = COLOURS[number % len(COLOURS)]
        for row in (row for row in mine if row.parameters == 0):
            axes.axhline(100 * row.score_mean, color=colour, linewidth=0.8, linestyle=(0, (4, 2)), label=name)
        mine = [row for row in mine if row.parameters > 0]
        if mine:
            axes.errorbar(
                [row.parameters for row in mine], [100 * row.score_mean for row in mine],
                yerr=[100 * (row.score_std or 0.0) for row in mine], color=colour, label=name,
                marker=_marker(mine[0].method), markersize=4.5, capsize=2, linewidth=0.9, elinewidth=0.8,
            )  # fmt: skip
    axes.set_xscale("log")
    sizes = [row.parameters for row in rows if row.parameters]
    if sizes and max(sizes) < 2 * min(sizes):  # all at one budget: do not zoom in on small differences
        axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(
        xlabel="trained parameters",
        ylabel=f"{first.metric} x 100",
        title=first.contest._replace(model=_short(first.model)).title,
    )
    axes.grid(color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)


def _marker(method: str) -> str:
    """The mark of a method; all that are not known here share one that no other has."""
    known = [*METHODS]
    return MARKERS[known.index(method) % len(MARKERS)] if method in known else "."


def _experiment(row: Row) -> str:
    """The label of a row: the experiment without the values of its matrix."""
    return row.experiment.partition("/")[0]


def _title(row: Row) -> str:
    return row.contest._replace(model=_short(row.model)).title


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]


def transfer(found: Matrix) -> Figure:
    """The transfer matrix: scores, coloured by the difference to the structure searched on the same task."""
    found = labelled(found)
    figure = _figure(1.9 + 0.72 * len(found.columns), 0.85 + 0.3 * len(found.rows))
    axes = figure.add_subplot()
    lost = [
        [math.nan if v is None or best is None else v - best for v, best in zip(line, found.reference, strict=True)]
        for line in found.values
    ]
    reach = max((abs(v) for line in lost for v in line if v == v), default=0.0) or 1.0
    mesh = axes.pcolormesh(lost, cmap="PuOr", vmin=-reach, vmax=reach, edgecolors="white", linewidth=1.0)
    for i, line in enumerate(found.values):
        for j, value in enumerate(line):
            if value is not None:
                dark = abs(lost[i][j]) > 0.7 * reach
                weight = "bold" if found.rows[i] == found.columns[j] else "normal"
                axes.text(
                    j + 0.5, i + 0.5, f"{value:.1f}", ha="center", va="center",
                    color="white" if dark else "black", fontweight=weight,
                )  # fmt: skip
    labels = [f"{column}\n{metric}" for column, metric in zip(found.columns, found.metrics, strict=True)]
    axes.set_xticks([j + 0.5 for j in range(len(labels))], labels)
    axes.set_yticks([i + 0.5 for i in range(len(found.rows))], found.rows)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    _bare(axes)
    _plain_letters(axes)
    axes.set(xlabel="trained on", ylabel="structure from")
    _bar(figure.colorbar(mesh, ax=axes, pad=0.03, aspect=20), "points over own search")
    return figure

"""The content of a suite's report, as a sequence of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.run.comparing import agreement
from core.run.errors import RunDirError, S3Error
from core.run.methods import method_of
from core.run.rundir import RunDir
from s3tui.plot import matplotlib_figures, panels, terminal
from s3tui.plot.load import Drawn, groups_of
from s3tui.report.blocks import Block, Heading, Picture, Table, Text
from s3tui.report.race_view import RaceView
from s3tui.report.races import races
from s3tui.results.standings import Standing, comparisons, constants, score, standings, written
from s3tui.results.summary import Contest, grouped, without_result
from s3tui.results.verdicts import AGREEMENT, Diagnosis, Founding, diagnose
from s3tui.runs.records.process import Exit, Process, read_exit, read_process
from s3tui.runs.status import Done
from s3tui.runs.workspace import FoundRun
from s3tui.structures.text_map import map_lines
from s3tui.text.units import ABSENT, count, duration, percent, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT_WIDTH = 100  # columns of a picture as text
MOST = 6  # searches whose gates and budgets are plotted individually
INTERVALS = (
    "Scores are means over runs that differ only in the seed, ± their sample standard deviation. The standard error is "
    "that of one run over the rows of the test split (1,000 bootstrap resamples of its predictions). The gain is the "
    "difference to the best random or fixed structure at the same budget, over common seeds (pairs), or over all runs "
    "if there are fewer than two common seeds; in brackets is its 95 % interval: over common seeds Student's t, of "
    "the variance between seeds and that over test rows (a bootstrap that draws the same rows for both sides), if "
    "predictions are kept; with a single run that over test rows alone, or else from the standard errors, taken as "
    "independent. An interval over seeds alone says nothing about other test rows. Within noise of the best: the "
    "interval of the difference to the best row covers 0."
)


def content(title: str, runs: Sequence[Drawn], raced: Sequence[RaceView] = ()) -> Iterator[Block]:
    """The report on the runs of a suite, and on its races."""
    one_suite = len({run.run.suite for run in runs}) == 1
    found = [replace(run.run, name=run.name) if one_suite else run.run for run in runs]
    yield Heading(title, 1)
    done = sum(isinstance(run.status, Done) for run in found)
    yield Text(f"{done} of {len(found)} runs are finished.")
    yield from races(raced)
    yield from _results(found)
    yield from _scores(runs)
    yield from _structures(runs)
    yield from _curves(runs)
    yield from _data(runs)
    yield from _settings(found)
    yield from _conditions(runs, found)
    missing = list(without_result(found))
    if missing:
        yield Heading("Runs without a result")
        yield Table(("run",), [[line] for line in missing])


def _results(found: Sequence[FoundRun]) -> Iterator[Block]:
    yield Heading("Results")
    contests: dict[Contest, list[Standing]] = {}
    rows = grouped(found)
    diagnosis = diagnose(rows)
    for standing in standings(rows):
        contests.setdefault(standing.row.contest, []).append(standing)
    for shared, contest in contests.items():
        yield Heading(f"{shared.title}: {shared.metric} x 100", 3)
        strong = frozenset(i for i, standing in enumerate(contest) if standing.place.startswith("best"))
        second = contest[0].row.second_metric or "other metric"
        head = (
            "experiment", "method", "budget", "trained", "share", "test", "search", "seeds agree", "standard error",
            second, "place", "runs", "gain", "over", "pairs", "time",
        )  # fmt: skip
        cells = [_cells(standing, diagnosis.of(standing.row)) for standing in contest]
        yield Table(head, cells, frozenset({2, 3, 4, 5, 7, 8, 9, 11, 12, 14, 15}), strong)
        yield from map(Text, _about(contest))
        yield from _about_searches(contest, diagnosis)
        yield from (Text(sentence) for sentence in comparisons(contest))
    yield Text(INTERVALS if contests else "No run is finished.")


def _cells(standing: Standing, founding: Founding) -> list[str]:
    row, gain = standing.row, standing.gain
    share = row.parameters / row.backbone_parameters if row.backbone_parameters else None
    gained = ["", "", ""] if gain is None else [written(gain), gain.baseline, str(gain.pairs or ABSENT)]
    numbers = [count(row.budget), count(row.parameters), percent(share), score(row)]
    searched = [founding.short, founding.agreement]
    sure = [points(row.standard_error), points(row.second_mean), standing.place]
    return [row.experiment, row.method, *numbers, *searched, *sure, str(row.runs), *gained, duration(row.seconds)]


def _about(contest: Sequence[Standing]) -> Iterator[str]:
    """The test rows, and what a constant answer scores on them."""
    sizes = sorted({standing.row.rows for standing in contest if standing.row.rows is not None})
    if sizes:
        yield f"Rows of the test split: {', '.join(map(count, sizes))}."
    for text in constants([standing.row for standing in contest]):
        yield f"Majority baseline (always the most frequent answer of the training split, or its mean): {text}."


def _about_searches(contest: Sequence[Standing], diagnosis: Diagnosis) -> Iterator[Block]:
    """The verdict on each search, what agreement is, and whether searches thought best of what scored best."""
    founds = [diagnosis.of(standing.row) for standing in contest]
    verdicts = sorted((name, str(one)) for found in founds for name, one in found.verdicts.items())
    if verdicts:
        yield Table(("search", "verdict"), [list(pair) for pair in verdicts])
    if any(found.agreement for found in founds):
        yield Text(f"Seeds agree: {AGREEMENT}.")
    yield from (Text(f"{found}.") for found in diagnosis.of_contest(contest[0].row.contest))


def _scores(runs: Sequence[Drawn]) -> Iterator[Block]:
    """Scores against parameters, and the transfer matrix if there are transfers."""
    contests = _if_any(lambda: panels.pareto_rows(runs))
    if contests:
        yield Heading("Scores and parameters")
        yield Picture(
            "Score against trained parameters; bars are sample standard deviations over runs. Runs that train only a "
            "new head are a dashed line.",
            lambda: _svg(lambda: matplotlib_figures.pareto(contests)),
            lambda: "\n\n".join(terminal.pareto(rows, TEXT_WIDTH, False) for rows in contests),
        )
    matrix = _if_any(lambda: panels.transfer_matrix(runs))
    if matrix:
        yield Heading("Transfer")
        yield Picture(
            "Scores of structures (rows: the task of their search) trained on tasks (columns). Bold: on the task of "
            "their search.",
            lambda: _svg(lambda: matplotlib_figures.transfer(matrix)),
            lambda: "\n".join(terminal.transfer_lines(matrix)),
        )


def _structures(runs: Sequence[Drawn]) -> Iterator[Block]:
    searched = {name: group for name, group in groups_of(runs).items() if method_of(group[0].method).gates}
    searched = {name: [run for run in group if run.structure] for name, group in searched.items()}
    if any(searched.values()):
        yield Heading("Structures")
    for name, group in searched.items():
        if group:
            yield Heading(name, 3)
            yield from _structure(group)


def _structure(group: Sequence[Drawn]) -> Iterator[Block]:
    found = panels.structure_map(group)
    several = f" averaged over {len(group)} runs" if len(group) > 1 else ""
    yield Picture(
        f"Probability of each candidate{several}; marks show what is chosen.",
        lambda: _svg(lambda: matplotlib_figures.structure(found)),
        lambda: "\n".join(map_lines(found, TEXT_WIDTH)),
    )
    if len(group) > 1:
        agreed = agreement([run.structure for run in group if run.structure])
        between = f" (95 % interval {agreed.interval[0]:.3f} to {agreed.interval[1]:.3f})" if agreed.interval else ""
        yield Text(
            f"The mean overlap of pairs of these structures is {agreed.overlap:.3f}{between} (Jaccard); that of random "
            f"structures under the same budget is {agreed.by_chance:.3f}."
        )


def _curves(runs: Sequence[Drawn]) -> Iterator[Block]:
    yield Heading("Curves")
    tasks: dict[str, list[Drawn]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run)
    for task, group in tasks.items():
        yield from _panels(f"{task}: losses (a moving mean; faint: single runs) and validation scores.", group)
    searches = [run for run in runs if method_of(run.method).gates]
    searched = searches[:MOST]
    which = f"of the first {MOST} searches" if len(searches) > MOST else "of each search"
    shown = _if_any(lambda: panels.budget_panels(searched))
    if shown:
        yield _picture(f"Expected, sampled and currently selected parameters {which}, against the budget.", shown)
    shown = _if_any(lambda: panels.gate_panels(searched))
    if shown:
        yield _picture(f"The probability of every gate {which}; faint: not chosen.", shown)


def _panels(caption: str, group: Sequence[Drawn]) -> Iterator[Block]:
    shown = _if_any(lambda: panels.loss_panels(group))
    if shown:
        yield _picture(caption, shown)


def _picture(caption: str, shown: Sequence[panels.Panel]) -> Picture:
    return Picture(
        caption,
        lambda: _svg(lambda: matplotlib_figures.panels(shown)),
        lambda: "\n\n".join(terminal.drawn(panel, TEXT_WIDTH, False) for panel in shown),
    )


def _svg(draw: Callable[[], Figure]) -> str:
    return matplotlib_figures.rendered(matplotlib_figures.figure_of(draw), "svg").decode()


def _if_any(make: Callable[[], Any]) -> Any:
    """The result of `make`, or None if it raises UsageError as the runs have nothing to show."""
    try:
        return make()
    except S3Error:
        return None


def _data(runs: Sequence[Drawn]) -> Iterator[Block]:
    """The rows used by the runs of each task, and the rows of its files that are left out."""
    tasks = {run.task: run.data for run in runs if run.data}
    if not tasks:
        return
    yield Heading("Data")
    head = ("task", "training rows", "validation rows", "test rows", "classes", "rows left out")
    rows = []
    for name, data in tasks.items():
        splits = [
            f"{data.rows[split]:,}" if split in data.rows else ABSENT for split in ("train", "validation", "test")
        ]
        rows.append([name, *splits, str(len(data.labels) or ABSENT), _left_out(data.left_out)])
    yield Table(head, rows, frozenset({1, 2, 3, 4}))
    notes = dict.fromkeys(note for data in tasks.values() for note in data.notes)
    yield from (Text(f"{note}.") for note in notes)


def _left_out(counts: Mapping[str, int]) -> str:
    """The number of rows that are left out, and why."""
    return "; ".join(f"{count:,} {what}" for what, count in counts.items()) or "0"


def _settings(found: Sequence[FoundRun]) -> Iterator[Block]:
    """The settings that all runs share, and those in which experiments differ."""
    flat = {run.name: dict(_flat(run.spec)) for run in found if run.spec}
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    shared = [key for key in keys if len({settings.get(key) for settings in flat.values()}) == 1]
    yield Heading("Settings")
    if shared:
        yield Text("Of all runs:")
        one = next(iter(flat.values()))
        yield Table(("key", "value"), [[key, one[key]] for key in shared])
    apart = [key for key in keys if key not in shared]
    if apart:
        yield Text("Of each run:")
        rows = [[name, *(settings.get(key, "") for key in apart)] for name, settings in flat.items()]
        yield Table(("run", *apart), rows)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Settings as dotted keys with short values; a space is represented by its name, as its groups may fill pages."""
    for key, value in table.items():
        if isinstance(value, dict):
            if "groups" in value:
                yield f"{prefix}{key}", str(value.get("name", ""))
            else:
                yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _conditions(runs: Sequence[Drawn], found: Sequence[FoundRun]) -> Iterator[Block]:
    """Versions, devices, time and energy."""
    yield Heading("Versions, time and energy")
    rows, joules, problems = [], [], []
    for run, shown in zip(runs, found, strict=True):
        if not isinstance(run.run.status, Done):
            continue
        end, process, problem = _processes(run.run.directory)
        problems += problem
        joules.append(end.gpu_joules if end else None)
        rows.append(
            [
                shown.name, process.where if process else ABSENT, run.history.state.device or ABSENT,
                str(run.history.state.attempt), duration(run.run.status.result.seconds),
                f"{end.peak_memory_bytes / 2**30:.2f} GiB" if end else ABSENT, _energy(joules[-1]),
            ]
        )  # fmt: skip
    if not rows:
        return
    head = ("run", "where", "device", "attempts", "time", "peak memory of the host", "energy of the GPU")
    yield Table(head, rows, frozenset({3, 4, 5, 6}))
    yield from map(Text, problems)
    if None in joules:
        yield Text(
            "Energy is known only for runs on one GPU whose driver counts it (NVML, since Volta); that of a CPU is not "
            "measured."
        )
    if any(joules):
        yield Text("Energy is that of the whole GPU during the last attempt, including other processes on it.")
    yield Table(("package", "versions"), _versions(runs))


def _processes(directory: RunDir) -> tuple[Exit | None, Process | None, list[str]]:
    """The end and the record of a run's last process, and a list of problems with damaged files."""
    try:
        return read_exit(directory), read_process(directory), []
    except RunDirError as error:
        return None, None, [str(error)]


def _energy(joules: float | None) -> str:
    return ABSENT if joules is None else f"{joules / 3600:.1f} Wh"


def _versions(runs: Sequence[Drawn]) -> list[list[str]]:
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for package, version in run.versions.items():
            found.setdefault(package, {})[version] = None
    return [[package, ", ".join(versions)] for package, versions in found.items()]

"""The tables of the proof: methods by task, their ranks, how early a rank is known, what is chosen, what it costs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import choices
from cells import cell, difference, markdown, paired
from collect import settings_of
from evidence import FISHER, HEAD, LORA, RANDOM, S3, TAYLOR, Arm, Evidence, Seeds, rate
from proof import METHODS, RATES, TASKS, Chosen, proof, sweep
from ranks import LEAST_TASKS, critical_difference, friedman, mean_ranks
from replay import Entrant, entrants, search_steps

from core.run.methods import method_of
from s3tui.results.rank_correlation import kendall

SEARCHED = (S3, TAYLOR, FISHER)
LEAST_PAIRS = 3  # of seeds, for a verdict on a task
LEAST_SECONDS = 2  # what takes less has taken the search of another run
Proof = Mapping[str, Mapping[str, Chosen]]  # what was chosen, by task and title


def proved(evidence: Evidence) -> Proof:
    """The methods of every task of the proof that has any."""
    found = {task: proof(evidence, task) for task in TASKS if task in evidence.tasks}
    return {task: methods for task, methods in found.items() if methods}


def scores(evidence: Evidence) -> str:
    """The test scores of the methods by task, beside the head alone and the most frequent answer."""
    found = proved(evidence)
    rows = [[arm.title, *(cell(_scores(methods, arm)) for methods in found.values())] for arm in METHODS]
    head = [HEAD.title, *(cell(evidence.scores(HEAD, task)) for task in found)]
    constant = ["most frequent answer", *(f"{100 * evidence.tasks[task]['constant']:.1f}" for task in found)]
    return markdown(["", *found], [*rows, head, constant])


def _scores(methods: Mapping[str, Chosen], arm: Arm) -> Seeds:
    return methods[arm.title].scores if arm.title in methods else {}


def rates(evidence: Evidence) -> str:
    """The rates among which the methods of a task chose, and in how many seeds each was chosen."""
    found = proved(evidence)
    tried = ["among", *(", ".join(_rate(value) for value in next(iter(sweep(evidence, t).values()))) for t in found)]
    rows = [[arm.title, *(_counts(methods.get(arm.title, Chosen())) for methods in found.values())] for arm in METHODS]
    return markdown(["", *found], [tried, *rows])


def _rate(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-")


def _counts(chosen: Chosen) -> str:
    counts = sorted(Counter(chosen.rates.values()).items())
    return ", ".join(f"{_rate(value)} ({count})" for value, count in counts)


def against(evidence: Evidence, reference: Arm) -> str:
    """The paired differences to a method by task."""
    found = proved(evidence)
    rows = [
        [arm.title, *(difference(_scores(m, arm), _scores(m, reference)) for m in found.values())] for arm in METHODS
    ]
    return markdown([f"against {reference.title}", *found], rows)


def ranks(evidence: Evidence) -> str:
    """The mean ranks of the methods that every task has, their wins, ties and losses, and what can be told apart."""
    found = proved(evidence)
    arms = [arm for arm in METHODS if all(arm.title in methods for methods in found.values())]
    if len(arms) < 3:
        return "Fewer than three methods were run on every task.\n"
    table = [[statistics.fmean(_scores(methods, arm).values()) for arm in arms] for methods in found.values()]
    rows = [
        [arm.title, f"{rank:.2f}", *(_verdicts(found, arm, other) for other in (LORA, RANDOM))]
        for arm, rank in sorted(zip(arms, mean_ranks(table), strict=True), key=lambda one: one[1])
    ]
    heads = [f"wins, ties, losses against {other.title}" for other in (LORA, RANDOM)]
    return markdown([f"{len(found)} tasks", "mean rank", *heads], rows) + f"\n{_tested(table)}\n"


def _verdicts(found: Proof, arm: Arm, other: Arm) -> str:
    """On how many tasks the interval of the paired difference is above 0, covers it, or is below it."""
    if arm.title == other.title:
        return ""
    gains = [paired(_scores(methods, arm), _scores(methods, other)) for methods in found.values()]
    known = [gain for gain in gains if gain is not None and gain.pairs >= LEAST_PAIRS]
    ties = sum(gain.within_noise for gain in known)
    wins = sum(not gain.within_noise and gain.difference > 0 for gain in known)
    return f"{wins}, {ties}, {len(known) - wins - ties}"


def _tested(table: Sequence[Sequence[float]]) -> str:
    tasks, methods = len(table), len(table[0])
    if tasks < LEAST_TASKS:
        return f"{tasks} tasks are too few for a test of ranks: {LEAST_TASKS} are the least for which it is made here."
    chi, p = friedman(table)
    critical = critical_difference(methods, tasks)
    told = "some methods differ" if p < 0.05 else "that all methods are alike is not refuted"
    return (
        f"Friedman's test over {tasks} tasks and {methods} methods: chi-square {chi:.1f}, p = {p:.2g}: {told}. "
        f"Mean ranks that differ by less than Nemenyi's critical difference, {critical:.2f} at 5 %, are not told apart."
    )


def early(evidence: Evidence) -> str:
    """What validation at half of the steps says of the final test: Kendall's tau, and the arms that it would choose."""
    rows = []
    for task in proved(evidence):
        by_seed = [runs for runs in entrants(evidence, task).values() if len(runs) > 2]
        taus = [tau for runs in by_seed if (tau := _tau(runs)) is not None]
        if taus:
            spread = f"{statistics.fmean(taus):.2f} ({min(taus):.2f} to {max(taus):.2f})"
            rows.append([task, _span([len(runs) for runs in by_seed]), spread, *_picked(by_seed)])
    return markdown(["", "arms", "tau", "chosen at half", "chosen at the end", "best on test", "mean"], rows)


def _tau(runs: Sequence[Entrant]) -> float | None:
    return kendall([run.best(run.length // 2) for run in runs], [run.test for run in runs])


def _span(sizes: Sequence[int]) -> str:
    return f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def _picked(by_seed: Sequence[Sequence[Entrant]]) -> list[str]:
    """The test score, as a mean over seeds, of the arm chosen at half, at the end, by the test itself, and of all."""
    half = [max(runs, key=lambda run: run.best(run.length // 2)).test for runs in by_seed]
    end = [max(runs, key=lambda run: run.best(run.length)).test for runs in by_seed]
    best = [max(run.test for run in runs) for runs in by_seed]
    mean = [statistics.fmean(run.test for run in runs) for runs in by_seed]
    return [f"{100 * statistics.fmean(values):.1f}" for values in (half, end, best, mean)]


def chosen(evidence: Evidence) -> str:
    """How many times as often as by chance each kind of candidate, site and layer is taken, as a mean over tasks."""
    rows: list[list[str]] = []
    found = {arm.title: [choices.structures(evidence, arm, task) for task in proved(evidence)] for arm in SEARCHED}
    names = next((names for tasks in found.values() for one in tasks for names, _ in one), ())
    for part in (choices.delta, choices.site, choices.layer):
        lifts = {title: [choices.lifts(one, part) for one in tasks if one] for title, tasks in found.items()}
        for kind, share in sorted(choices.shares(names, part).items()):
            rows.append([kind, f"{100 * share:.0f} %", *(_lift([one[kind] for one in lifts[t]]) for t in found)])
    return markdown(["", "of the candidates", *found], rows)


def _lift(values: Sequence[float]) -> str:
    """A mean over tasks, and on how many it is above chance."""
    if not values:
        return ""
    return f"{statistics.fmean(values):.1f} ({sum(value > 1 for value in values)} of {len(values)})"


def compute(evidence: Evidence) -> str:
    """What each method costs, and what it scores more than LoRA for that, both as means over tasks."""
    found, rows = proved(evidence), []
    for arm in METHODS:
        there = [task for task, methods in found.items() if {arm.title, LORA.title} <= methods.keys()]
        if there:
            gains = [paired(_scores(found[task], arm), _scores(found[task], LORA)) for task in there]
            more = [gain.difference for gain in gains if gain is not None]
            times = [_seconds(evidence, arm, task) / _seconds(evidence, LORA, task) for task in there]
            steps = search_steps(arm), search_steps(arm) + (arm.spec().retrain.max_steps or 0)
            told = f"{statistics.fmean(more):+.1f} ({min(more):+.1f} to {max(more):+.1f})" if arm is not LORA else ""
            rows.append([arm.title, *map(str, steps), f"{statistics.fmean(times):.1f}", told])
    heads = ("search", "search and training", f"time (1: {LORA.title})", f"points over {LORA.title} (tasks: from, to)")
    return markdown(["", *heads], rows)


def _seconds(evidence: Evidence, arm: Arm, task: str) -> float:
    """The medians of search and training together; a search is that of any run that has made the same one."""
    runs = [run for value in RATES for run in evidence.runs(arm.changed(rate(value)), task)]
    training = statistics.median(run["seconds"]["retrain"] for run in runs)
    table, wanted = evidence.tasks[task], _of_search(arm.method, settings_of(arm.spec()))
    same = {name for name, known in table["arms"].items() if _of_search(known["method"], known["settings"]) == wanted}
    times = [
        run["seconds"]["search"]
        for run in table["runs"]
        if run["arm"] in same and run["precision"] == arm.precision and run["seconds"]["search"] > LEAST_SECONDS
    ]
    return training + (statistics.median(times) if times and search_steps(arm) else 0.0)


def _of_search(method: str, settings: Mapping[str, Any]) -> Any:
    """What the time of a search depends on; a search that learns no weights always takes as long."""
    learns = method_of(method).learns
    return method, {key: value for key, value in settings.items() if key.startswith("search.") and learns}

"""How often a method takes each kind of candidate, each site and each layer, against their share of the candidates."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from evidence import Arm, Evidence, rate
from proof import RATES

NAME = re.compile(r"(?P<stack>[A-Z]?)(?P<layer>\d*)\.?(?P<site>\S+) (?P<delta>\S+)")
Structure = tuple[Sequence[str], Sequence[int]]  # the candidates' names, and the indices of those that are taken

Part = Callable[[str], str]


def delta(name: str) -> str:
    """The delta of a candidate, without its settings: `lora` of `E3.attn.q lora(rank=1)`."""
    return _parts(name)["delta"].partition("(")[0]


def site(name: str) -> str:
    """The site of a candidate: `attn.q` of the same."""
    return _parts(name)["site"]


def layer(name: str) -> str:
    """Its layer, counted from 1: `layer 4` of the same; `no layer` outside the layers."""
    parts = _parts(name)
    return f"layer {int(parts['layer']) + 1}" if parts["layer"] else "no layer"


def _parts(name: str) -> Mapping[str, str]:
    found = NAME.fullmatch(name)
    assert found is not None, name
    return found.groupdict()


def shares(names: Sequence[str], part: Part) -> dict[str, float]:
    """The share of each kind among candidates."""
    counts = Counter(map(part, names))
    return {kind: count / len(names) for kind, count in counts.items()}


def lifts(structures: Sequence[Structure], part: Part) -> dict[str, float]:
    """How many times as often as by chance a kind is taken: its share of what is taken over that of the candidates.

    The mean over structures.
    """
    found: dict[str, list[float]] = {}
    for names, taken in structures:
        chance, mine = shares(names, part), shares([names[i] for i in taken], part)
        for kind, share in chance.items():
            found.setdefault(kind, []).append(mine.get(kind, 0.0) / share)
    return {kind: statistics.fmean(values) for kind, values in found.items()}


def structures(evidence: Evidence, arm: Arm, task: str) -> list[Structure]:
    """The structure of each seed of a method, which does not depend on the rate of retraining."""
    spaces, arms = (evidence.tasks[task][key] for key in ("spaces", "arms"))
    found: dict[int, Structure] = {}
    for value in RATES:
        for run in evidence.runs(arm.changed(rate(value)), task):
            names = spaces[arms[run["arm"]]["space"]]["candidates"]
            found.setdefault(run["seed"], (names, run["selected"]))
    return [found[seed] for seed in sorted(found)]

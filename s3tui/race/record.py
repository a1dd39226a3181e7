"""The record of a race (`race.json` in the folder of its experiment): its settings, and its arms in their order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from core.run.errors import RunDirError
from core.run.fields import LATER, Between, Count, Positive
from core.run.rundir import read_record_if_there, write_json

FILE = "race.json"


@dataclass(frozen=True)
class Rules:
    """How a race is run.

    `rungs` are steps of retraining, rising; the last is the whole length. Of the arms at a rung the share `keep` goes
    on. The best `final` arms are confirmed with `confirm` fresh seeds each. A budget is in steps of search and
    retraining, or in seconds, over all runs of the race; None where there is none of its kind.
    """

    rungs: tuple[Positive, ...]
    keep: Annotated[float, Between(0, 1)] = 1 / 3
    confirm: Positive = 3
    final: Positive = 2
    budget_steps: Positive | None = None
    budget_seconds: Annotated[float, Between(0, 1e9)] | None = None

    @property
    def confirmation_steps(self) -> int:
        """The steps of all confirmations, which every budget holds back for them."""
        return self.final * self.confirm * self.rungs[-1]

    def sizes(self, searches: tuple[int, ...]) -> tuple[int, ...]:
        """How many arms run to each rung; `searches` are the steps of the arms' searches, in the order of the arms.

        n_0 is the number of arms, and n_{j+1} = max(final, floor(keep n_j)), at least 1 and at most n_j, as far as a
        budget in steps has room for them beside the confirmations.
        """
        left = math.inf if self.budget_steps is None else self.budget_steps - self.confirmation_steps
        size = 0
        while size < len(searches) and searches[size] + self.rungs[0] <= left:
            left -= searches[size] + self.rungs[0]
            size += 1
        sizes = [size]
        for before, step in zip(self.rungs, self.rungs[1:], strict=False):
            # The small number is for products such as 100 * 0.29, which is a little less than 29.
            wanted = min(size, max(self.final, math.floor(self.keep * size + 1e-9)))
            size = wanted if left == math.inf else min(wanted, max(0, int(left) // (step - before)))
            left -= size * (step - before)
            sizes.append(size)
        return tuple(sizes)


@dataclass(frozen=True)
class Hand:
    """What was decided by hand: arms that are dropped, those that go on wherever they stand, and whether it is ended.

    No arm is both dropped and kept.
    """

    dropped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    ended: bool = False


@dataclass(frozen=True)
class Record:
    """The content of `race.json`. `arms` are names of runs without that of the suite, in the order of their turn.

    `seeds` are those of confirmations, which no arm has. `ranges` are those of the experiment as JSON, and `drawn` the
    values that were drawn from them for each arm. The last `added` arms were added by hand.
    """

    rules: Rules
    arms: tuple[str, ...]
    seeds: tuple[Count, ...]
    ranges: str = ""
    drawn: tuple[dict[str, Any], ...] = ()
    added: Count = field(default=0, metadata=LATER)
    hand: Hand = field(default_factory=Hand, metadata=LATER)

    def confirmation(self, arm: str, seed: int) -> str:
        """The name of the run that confirms an arm with a seed: `best/method=s3,confirm=4,seed=7` for the arm 4."""
        experiment, _, point = arm.rpartition("/")
        parts = [part for part in point.split(",") if not part.startswith("seed=")]
        return f"{experiment}/{','.join([*parts, f'confirm={self.arms.index(arm)}', f'seed={seed}'])}"

    def confirmations(self) -> dict[str, tuple[str, int]]:
        """The names that confirmations have, with their arm and seed."""
        return {self.confirmation(arm, seed): (arm, seed) for arm in self.arms for seed in self.seeds}


def fresh_seeds(used: Iterable[int], number: int) -> tuple[int, ...]:
    """The first seeds that are not used."""
    taken = set(used)
    return tuple(itertools.islice((seed for seed in itertools.count() if seed not in taken), number))


def write_race(folder: Path, record: Record) -> None:
    """Write the record of a race into the folder of its experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, {"v": 1} | asdict(record))


def read_race_if_whole(folder: Path) -> Record | None:
    """The race in a folder, None if there is none, or if its file is damaged."""
    try:
        return read_race(folder)
    except RunDirError:
        return None


def read_race(folder: Path) -> Record | None:
    """The race in a folder, None if there is none; raises RunDirError if its file is damaged."""
    return read_record_if_there(folder / FILE, Record)

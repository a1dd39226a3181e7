"""What happens next in a race: a pure function of its rules and of what stands in the directories of its runs.

Successive halving with many arms under way at once (Li et al. 2020, arXiv 1810.05934). There an arm goes on as soon as
it is among the best of those that have arrived, so that the order of arrival matters. Here an arm goes on as soon as no
arm that may still arrive can push it out of those that are kept: whatever the order, the same arms go on.

Of a race the outcome depends on the scores alone, and on what was decided by hand. Of equal scores that of the earlier
arm counts as the better one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from s3tui.race.record import Hand, Rules

# Of an arm: it will arrive by itself; it waits at a rung; it was stopped by hand; it has failed or was cancelled.
State = Literal["open", "waits", "held", "lost"]
Fate = Literal["under way", "waits", "dropped", "goes on", "final", "lost"]


@dataclass(frozen=True)
class Arm:
    """What is known of an arm.

    It may go up to `limit` steps of retraining. `scores` are its best validation scores up to each rung that it has
    reached, by the step of the rung. `steps` of search and retraining, and `seconds`, are what it has cost so far;
    `search_steps` is what its search takes at most, 0 where it takes that of an earlier arm; `pace` the seconds of a
    step of its retraining, 0 where it is not known. `begun` is whether it was ever started.
    """

    name: str
    state: State
    limit: int
    scores: Mapping[int, float] = field(default_factory=dict)
    search_steps: int = 0
    steps: int = 0
    seconds: float = 0.0
    pace: float = 0.0
    begun: bool = True


@dataclass(frozen=True)
class Confirmation:
    """A run that confirms an arm with a fresh seed. `waits` is a finished one."""

    arm: str
    state: State
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where an arm stands: the last rung that it has reached (0 before the first), and its rank among `of` there."""

    step: int
    rank: int
    of: int
    fate: Fate


@dataclass(frozen=True)
class Decision:
    """What is to be done, and how the race stands.

    `promote` are arms with the step up to which they go on; `confirm` arms that are to be confirmed; `withdraw` those
    for which the budget has no room; `stop` those under way that were dropped by hand, or by the end of the race by
    hand. `halted` are runs stopped by hand, for which the race waits. `over`: nothing is left to do, and nothing is
    under way. `spent`: the budget in seconds is spent.
    """

    promote: Mapping[str, int]
    confirm: tuple[str, ...]
    withdraw: tuple[str, ...]
    stop: tuple[str, ...]
    halted: tuple[str, ...]
    finalists: tuple[str, ...]
    places: Mapping[str, Place]
    spent: bool
    over: bool

    @property
    def has_actions(self) -> bool:
        """Whether anything is to be done, whatever is under way."""
        return bool(self.promote or self.confirm or self.withdraw or self.stop)


@dataclass(frozen=True)
class _Rung:
    """A rung: the arms that run to it, those that go on from it, those that cannot any more, and if all is settled."""

    step: int
    members: Sequence[Arm]
    on: Sequence[Arm]
    out: Sequence[Arm]
    settled: bool


def decide(
    rules: Rules, arms: Sequence[Arm], confirmations: Sequence[Confirmation], hand: Hand | None = None
) -> Decision:
    """What happens next. The order of `arms` is that of the race; that of `confirmations` does not matter."""
    hand = hand or Hand()
    order = {arm.name: i for i, arm in enumerate(arms)}
    confirmed = frozenset(one.arm for one in confirmations)
    spent = _is_spent(rules, arms)
    stop = tuple(a.name for a in arms if a.state == "open" and (hand.ended or a.name in hand.dropped))
    arms = [_by_hand(arm, hand) for arm in arms]
    rungs = _rungs(rules, arms, confirmed, order, hand)
    promote = {} if spent or hand.ended else _promotions(rungs)
    racing = rungs[0].members if rungs else ()
    under_way = any(arm.state in ("open", "held") for arm in racing)
    settled, ends = not promote and not under_way, spent or hand.ended
    finalists = _finalists(rules, rungs, arms, confirmed, order, settled)
    there = Counter(one.arm for one in confirmations)
    confirm = tuple(name for name in finalists if there[name] < rules.confirm)
    halted = (*(a.name for a in racing if a.state == "held"), *(c.arm for c in confirmations if c.state == "held"))
    idle = not under_way and all(one.state in ("waits", "lost") for one in confirmations)
    return Decision(
        promote={} if halted else promote,
        confirm=() if halted else confirm,
        withdraw=tuple(
            a.name for a in arms if a.state == "open" and not a.begun and not hand.ended and (spent or a not in racing)
        ),
        stop=stop,
        halted=tuple(dict.fromkeys(halted)),
        finalists=finalists,
        places={arm.name: _place(arm, rungs, arms, finalists, hand, ends, settled) for arm in arms},
        spent=spent,
        over=idle and not promote and not confirm and not stop,
    )


def _by_hand(arm: Arm, hand: Hand) -> Arm:
    """An arm as the race sees it after what was decided by hand; nobody waits for one that was stopped by that."""
    if arm.name in hand.dropped:
        return replace(arm, state="lost")
    return replace(arm, state="waits") if hand.ended and arm.state == "held" else arm


def _is_spent(rules: Rules, arms: Sequence[Arm]) -> bool:
    """Whether a budget in seconds has room for nothing but the confirmations, at the pace of the arms so far.

    What the confirmations take does not count, so that it stays spent while they run.
    """
    if rules.budget_seconds is None:
        return False
    paces = [arm.pace for arm in arms if arm.pace]
    reserve = rules.confirmation_steps * (sum(paces) / len(paces) if paces else 0.0)
    return sum(arm.seconds for arm in arms) + reserve >= rules.budget_seconds


def _rungs(rules: Rules, arms: Sequence[Arm], confirmed: Set[str], order: Mapping[str, int], hand: Hand) -> list[_Rung]:
    """The rungs from the first to the last that a budget in steps has room for.

    Of the arms that wait at a rung the i-th best goes on if i, with the arms that have yet to arrive, is less than the
    number of free slots: then no order of the rest could push it out. Arms kept by hand go on in any case, and take a
    slot as long as there is one.
    """
    sizes = rules.sizes(tuple(arm.search_steps for arm in arms))
    rungs: list[_Rung] = []
    members, missing = list(arms[: sizes[0]]), 0  # `missing` are members not known yet
    for step, size, after in zip(rules.rungs, sizes, (*sizes[1:], 0), strict=True):
        if not size:
            break
        gone = [arm for arm in members if (arm.limit > step if after else arm.name in confirmed)]
        rest = [arm for arm in members if arm not in gone and arm.state != "lost"]
        coming = sum(step not in arm.scores for arm in rest)
        arrived = _ranked((arm for arm in rest if step in arm.scores), step, order)
        kept = [arm for arm in arrived if arm.name in hand.kept]
        here = [arm for arm in arrived if arm not in kept]
        free = max(0, (after or rules.final) - len(gone) - len(kept))
        on = gone + kept + here[: max(0, free - coming - missing)]
        settled = not coming and not missing
        rungs.append(_Rung(step, members, on, here[free:], settled))
        members, missing = on, 0 if settled else max(0, after - len(on))
    return rungs


def _ranked(arms: Iterable[Arm], step: int, order: Mapping[str, int]) -> list[Arm]:
    """Arms by their score at a rung, the best first."""
    return sorted(arms, key=lambda arm: (-arm.scores[step], order[arm.name]))


def _promotions(rungs: Sequence[_Rung]) -> dict[str, int]:
    """The arms that are to go on to the next rung, with its step."""
    pairs = itertools.pairwise(rungs)
    return {arm.name: there.step for here, there in pairs for arm in here.on if arm.limit == here.step}


def _finalists(
    rules: Rules,
    rungs: Sequence[_Rung],
    arms: Sequence[Arm],
    confirmed: Set[str],
    order: Mapping[str, int],
    settled: bool,
) -> tuple[str, ...]:
    """The arms to confirm: those sure to be the best at the last rung; once all is settled, the best of those left."""
    certain = [arm.name for arm in rungs[-1].on] if rungs else []
    found = [*(arm.name for arm in arms if arm.name in confirmed), *certain]
    if settled:
        left = [arm for arm in arms if arm.state == "waits" and arm.scores and arm.name not in found]
        left.sort(key=lambda arm: (-max(arm.scores), -arm.scores[max(arm.scores)], order[arm.name]))
        found += [arm.name for arm in left][: max(0, rules.final - len(set(found)))]
    return tuple(dict.fromkeys(found))


def _place(
    arm: Arm,
    rungs: Sequence[_Rung],
    arms: Sequence[Arm],
    finalists: Sequence[str],
    hand: Hand,
    ends: bool,
    settled: bool,
) -> Place:
    """Where an arm stands. Once the race `ends` early nobody goes on, and who is in the final is known when `settled`."""
    step = max(arm.scores, default=0)
    better = [a for a in arms if step in a.scores and a.scores[step] > arm.scores[step]] if step else []
    rung = next((rung for rung in rungs if rung.step == step), None)
    fate: Fate = "waits"
    if arm.name in finalists:
        fate = "final"
    elif arm.name in hand.dropped:
        fate = "dropped"
    elif arm.state == "lost":
        fate = "lost"
    elif arm.state != "waits":
        fate = "under way"
    elif ends:
        fate = "dropped" if settled else "waits"
    elif rung is None or arm in rung.out or (rung.settled and arm not in rung.on):
        fate = "dropped"
    elif arm in rung.on:
        fate = "goes on"
    return Place(step, len(better) + 1, sum(step in a.scores for a in arms) if step else 0, fate)

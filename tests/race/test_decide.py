"""The decision of a race as a pure function: the same arms go on in whatever order they arrive."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from s3tui.race.decide import Arm, Confirmation, decide
from s3tui.race.record import Hand, Rules

RUNGS = (10, 30, 90)
LOST = None


def made(place):
    """Rules, and the score of each arm at each rung, of few values, so that there are ties; None where it fails."""
    number, rungs = place.randint(2, 14), RUNGS[: place.randint(1, 3)]
    rules = Rules(rungs, place.choice([0.1, 0.29, 1 / 3, 0.5, 1.0]), confirm=2, final=place.randint(1, 3))
    draw = lambda: place.choice([0.5, 0.6, 0.7, LOST, place.random(), place.random()])  # noqa: E731
    return rules, {f"arm{i:02}": {step: draw() for step in rungs} for i in range(number)}


PLACES = st.integers(0, 2**32).map(random.Random)


def by_hand(rules, scores):
    """The textbook's successive halving, one rung after the other: the arms of each rung, and the finalists."""
    sizes, members, levels = rules.sizes((0,) * len(scores)), list(scores), []
    for i, step in enumerate(rules.rungs):
        levels.append(set(members))
        arrived = sorted(
            (name for name in members if scores[name][step] is not LOST), key=lambda n: (-scores[n][step], n)
        )
        members = arrived[: sizes[i + 1] if i + 1 < len(sizes) else rules.final]
    alive = [name for name in scores if _last(rules, scores, levels, name)[0]]
    alive.sort(key=lambda name: (*(-x for x in _last(rules, scores, levels, name)), name))
    return levels, (members + [name for name in alive if name not in members])[: rules.final]


def _last(rules, scores, levels, name):
    """The last rung that an arm has reached without failing, and its score there; 0 for one that failed."""
    step, score = 0, 0.0
    for rung, members in zip(rules.rungs, levels, strict=True):
        if name in members:
            if scores[name][rung] is LOST:
                return 0, 0.0
            step, score = rung, scores[name][rung]
    return step, score


def play(rules, scores, place, hand=None, lazy=0.3):
    """Run a race to its end: what is under way arrives in a random order, and now and then nobody decides."""
    arms = {name: Arm(name, "open", rules.rungs[0]) for name in scores}
    confirmations = []
    while True:
        decision = decide(rules, list(arms.values()), confirmations, hand)
        for name in decision.stop:
            arms[name] = replace(arms[name], state="held")
        if decision.over:
            return decision, arms, confirmations
        if place.random() > lazy:
            for name, limit in decision.promote.items():
                arms[name] = replace(arms[name], state="open", limit=limit)
            confirmations += [Confirmation(n, "open") for n in decision.confirm for _ in range(rules.confirm)]
        coming = [name for name, arm in arms.items() if arm.state == "open"]
        if coming and place.random() < 0.8:
            name = place.choice(coming)
            arm, score = arms[name], scores[name][arms[name].limit]
            state = "lost" if score is LOST else "waits"
            found = arm.scores if score is LOST else {**arm.scores, arm.limit: score}
            arms[name] = replace(arm, state=state, scores=found)
        elif confirmations:
            i = place.randrange(len(confirmations))
            confirmations[i] = replace(confirmations[i], state="waits")


@settings(max_examples=200, deadline=None)
@given(PLACES)
def test_in_whatever_order_arms_arrive_those_go_on_that_go_on_rung_by_rung(place):
    rules, scores = made(place)
    levels, finalists = by_hand(rules, scores)
    decision, arms, confirmations = play(rules, scores, place)
    for step, members in zip(rules.rungs, levels, strict=True):
        assert {name for name, arm in arms.items() if arm.limit >= step} == members
    assert set(decision.finalists) == set(finalists)
    assert sorted(one.arm for one in confirmations) == sorted(finalists * rules.confirm)


@settings(max_examples=100, deadline=None)
@given(PLACES)
def test_the_decision_depends_on_the_facts_alone_and_is_the_same_when_it_was_carried_out(place):
    rules, scores = made(place)
    _, arms, confirmations = play(rules, scores, place)
    again = decide(rules, list(arms.values()), place.sample(confirmations, len(confirmations)))
    assert again == decide(rules, list(arms.values()), confirmations)
    assert again.over
    assert not again.promote
    assert not again.confirm


def arm(name, state="waits", limit=10, **scores):
    return Arm(name, state, limit, {int(step.removeprefix("at")): score for step, score in scores.items()})


def test_an_arm_goes_on_before_the_last_has_arrived_once_nothing_can_push_it_out():
    rules = Rules((10, 30), keep=0.5, final=1)
    arms = [arm(f"a{i}", at10=score) for i, score in enumerate((0.9, 0.2, 0.8))] + [arm("a3", "open")]
    # Two of four go on: whatever the fourth scores, the best of three is one of them; the second may not be.
    assert decide(rules, arms, ()).promote == {"a0": 30}
    assert decide(rules, [*arms[:3], arm("a3", at10=0.1)], ()).promote == {"a0": 30, "a2": 30}
    assert decide(rules, [*arms[:3], arm("a3", "lost")], ()).promote == {"a0": 30, "a2": 30}
    assert decide(rules, arms, ()).places["a1"].fate == "dropped"


def test_of_equal_scores_that_of_the_earlier_arm_counts():
    rules = Rules((10, 30), keep=0.5, final=1)
    arms = [arm("a", at10=0.5), arm("b", at10=0.5), arm("c", at10=0.5), arm("d", at10=0.5)]
    assert list(decide(rules, arms, ()).promote) == ["a", "b"]


def test_a_run_stopped_by_hand_halts_the_race_and_one_cancelled_is_dropped():
    rules = Rules((10, 30), keep=0.5, final=1)
    others = [arm("a", at10=0.9), arm("b", at10=0.8), arm("c", at10=0.7)]
    halted = decide(rules, [*others, arm("d", "held")], ())
    assert (halted.promote, halted.halted, halted.over) == ({}, ("d",), False)
    assert decide(rules, [*others, arm("d", "lost")], ()).promote == {"a": 30, "b": 30}


def test_a_budget_in_seconds_ends_the_race_with_what_there_is():
    rules = Rules((10, 30), keep=0.5, final=1, confirm=1, budget_seconds=100.0)
    arms = [
        Arm("a", "waits", 10, {10: 0.5}, seconds=30.0, pace=2.0),
        Arm("b", "waits", 10, {10: 0.7}, seconds=30.0, pace=2.0),
        Arm("c", "open", 10, begun=False),
    ]
    decision = decide(rules, arms, ())
    # 60 s are spent, and 30 steps of a confirmation take as many again: no arm goes on, what has not begun is left out.
    assert decision.spent
    assert (decision.promote, decision.withdraw, decision.confirm) == ({}, ("c",), ())
    assert [decision.places[name].fate for name in "ab"] == ["waits", "waits"]  # who is confirmed is not known yet
    decision = decide(rules, [*arms[:2], replace(arms[2], state="lost")], ())
    assert decision.confirm == ("b",)
    assert [decision.places[name].fate for name in "ab"] == ["dropped", "final"]
    # It stays spent once the confirmation runs: nobody goes on beside it.
    arms[2] = replace(arms[2], state="lost")
    under_way = decide(rules, arms, [Confirmation("b", "open", 15, 30.0)])
    assert (under_way.spent, under_way.promote, under_way.over) == (True, {}, False)
    over = decide(rules, arms, [Confirmation("b", "waits", 30, 60.0)])
    assert (over.promote, over.finalists, over.over) == ({}, ("b",), True)


def test_a_budget_in_steps_says_beforehand_how_many_arms_run_to_each_rung():
    searches = (20,) * 6
    assert Rules((10, 30, 90), keep=0.5, confirm=1, final=1).sizes(searches) == (6, 3, 1)
    # 90 of the confirmation, 180 of six arms, 60 of three: 50 are left, less than the 60 from rung 30 to 90.
    limited = Rules((10, 30, 90), keep=0.5, confirm=1, final=1, budget_steps=90 + 180 + 60 + 50)
    assert limited.sizes(searches) == (6, 3, 0)
    arms = [Arm(f"a{i}", "waits", 30, {10: i / 10, 30: i / 10}, search_steps=20) for i in (3, 4, 5)]
    arms += [Arm(f"a{i}", "waits", 10, {10: i / 10}, search_steps=20) for i in (0, 1, 2)]
    assert decide(limited, arms, ()).confirm == ("a5",)
    too_small = Rules((10, 30, 90), keep=0.5, confirm=1, final=1, budget_steps=90 + 31)
    assert too_small.sizes(searches)[0] == 1


def test_who_fails_after_going_on_frees_no_slot_but_leaves_the_final_to_the_next_best():
    rules = Rules((10, 30), keep=0.5, final=2)
    arms = [
        arm("a", "lost", 30, at10=0.9),
        arm("b", limit=30, at10=0.8, at30=0.7),
        arm("c", at10=0.5),
        arm("d", at10=0.4),
    ]
    decision = decide(rules, arms, ())
    assert decision.promote == {}
    assert decision.finalists == ("b", "c")


def test_a_race_of_which_every_arm_has_failed_is_over_without_finalists():
    decision = decide(Rules((10,), final=1), [arm("a", "lost"), arm("b", "lost")], ())
    assert decision.over
    assert decision.finalists == ()


@settings(max_examples=100, deadline=None)
@given(PLACES)
def test_what_is_decided_by_hand_holds_in_whatever_order_arms_arrive(place):
    rules, scores = made(place)
    some = place.sample(sorted(scores), place.randint(1, len(scores)))
    cut = place.randint(0, len(some))
    hand = Hand(dropped=tuple(some[:cut]), kept=tuple(some[cut:]))
    (one, arms, _), (other, again, _) = play(rules, scores, place, hand), play(rules, scores, place, hand)
    assert {n: a.limit for n, a in arms.items()} == {n: a.limit for n, a in again.items()}
    assert set(one.finalists) == set(other.finalists)
    assert not set(one.finalists) & set(hand.dropped)
    assert {one.places[name].fate for name in hand.dropped} <= {"dropped"}
    assert {arms[name].limit for name in hand.dropped} <= {rules.rungs[0]}
    for name in hand.kept:
        assert name in one.finalists or arms[name].state == "lost"


@settings(max_examples=100, deadline=None)
@given(PLACES)
def test_a_race_ended_by_hand_confirms_the_best_of_those_that_came_farthest(place):
    rules, scores = made(place)
    rules = replace(rules, confirm=1)
    arms = {name: Arm(name, "open", rules.rungs[0]) for name in scores}
    for name in place.sample(sorted(scores), place.randint(0, len(scores))):
        score = scores[name][rules.rungs[0]]
        arms[name] = (
            replace(arms[name], state="waits", scores={rules.rungs[0]: score}) if score is not LOST else arms[name]
        )
    ended = decide(rules, list(arms.values()), (), Hand(ended=True))
    coming = {name for name, arm in arms.items() if arm.state == "open"}
    assert (ended.promote, set(ended.stop)) == ({}, coming)
    arms = {name: replace(arm, state="held") if name in coming else arm for name, arm in arms.items()}
    ended = decide(rules, list(arms.values()), (), Hand(ended=True))
    there = sorted(
        (name for name, arm in arms.items() if arm.scores), key=lambda n: (-arms[n].scores[rules.rungs[0]], n)
    )
    assert (ended.halted, ended.stop, set(ended.finalists)) == ((), (), set(there[: rules.final]))
    assert ended.over == (not there)


def test_an_arm_that_was_dropped_goes_on_beside_the_others_once_it_is_kept():
    rules = Rules((10, 30), keep=0.5, final=1)
    arms = [arm("a", limit=30, at10=0.9, at30=0.9), arm("b", at10=0.8), arm("c", at10=0.7), arm("d", at10=0.1)]
    arms[1] = replace(arms[1], limit=30, scores={10: 0.8, 30: 0.7})
    over = decide(rules, arms, [Confirmation("a", "waits")] * 3)
    assert (over.over, over.places["d"].fate) == (True, "dropped")
    kept = decide(rules, arms, [Confirmation("a", "waits")] * 3, Hand(kept=("d",)))
    assert (kept.promote, kept.over) == ({"d": 30}, False)
    arms[3] = replace(arms[3], limit=30, scores={10: 0.1, 30: 0.2})
    assert decide(rules, arms, [Confirmation("a", "waits")] * 3, Hand(kept=("d",))).finalists == ("a", "d")

"""Races replayed with collected runs, and what each method alone has for the same compute."""

from evidence import FISHER, LORA, S3, TAYLOR
from made_up import evidence
from replay import RACE, entrants, replayed

from s3tui.race.record import Rules

RULES = Rules((150, 300), keep=0.5, final=1)


def rows(arm, value, *scores):
    """Runs of the seeds 0, 1, ... with these scores at half, at the end and on the test."""
    return [(arm, value, seed, *three) for seed, three in enumerate(scores)]


def test_a_race_goes_on_with_the_better_half_and_each_method_alone_trains_all_its_rates():
    found = evidence(
        # Of LoRA the rate that would end best is behind at half, so that the race loses it and LoRA alone does not.
        *rows(LORA, 5e-3, (0.3, 0.9, 0.91), (0.3, 0.9, 0.91)), *rows(LORA, 1e-2, (0.5, 0.6, 0.61), (0.5, 0.6, 0.61)),
        *rows(S3, 5e-3, (0.7, 0.7, 0.71), (0.7, 0.7, 0.71)), *rows(S3, 1e-2, (0.6, 0.8, 0.81), (0.6, 0.8, 0.81)),
    )  # fmt: skip
    told = replayed(RULES, found, "sst2")
    assert {way: round(by_seed[0].score) for way, by_seed in told.items()} == {RACE: 81, "`s3`": 81, LORA.title: 91}
    # One search for both rates; of the race half of the arms are trained to the end.
    assert {way: by_seed[0].steps for way, by_seed in told.items()} == {
        RACE: 200 + 4 * 150 + 2 * 150,
        "`s3`": 800,
        LORA.title: 600,
    }


def test_what_a_method_cannot_pay_for_it_does_not_have():
    # Of the two criteria of saliency the last rate is the best, but would cost 1,300 steps with the others.
    plain, best = [(0.5, 0.5, 0.5)] * 2, [(0.5, 0.9, 0.9)] * 2
    arms = [(arm, value) for arm in (TAYLOR, FISHER, LORA) for value in (5e-3, 1e-2)]
    found = evidence(*(row for one in arms for row in rows(*one, *(best if one == (FISHER, 1e-2) else plain))))
    told = replayed(Rules((150, 300), keep=0.2, final=1), found, "sst2")
    assert told[RACE][0].steps == 2 * 50 + 6 * 150 + 150 == 1150
    assert (told["`saliency`"][0].score, told["`saliency`"][0].steps) == (50.0, 2 * 50 + 3 * 300)


def test_further_seeds_are_paid_from_what_is_left():
    found = evidence(
        *rows(LORA, 1e-2, (0.5, 0.5, 0.51), (0.5, 0.7, 0.71)), *rows(S3, 1e-2, (0.6, 0.6, 0.61), (0.6, 0.6, 0.61)),
    )  # fmt: skip
    once, on = (replayed(RULES, found, "sst2", further)[LORA.title] for further in (False, True))
    assert [round(once[seed].score) for seed in (0, 1)] == [51, 71]
    assert [(round(on[seed].score), on[seed].steps) for seed in (0, 1)] == [(71, 600), (71, 600)]


def test_each_seed_races_its_own_runs():
    found = evidence(*rows(LORA, 1e-2, *[(0.5, 0.5, 0.5)] * 3), *rows(S3, 1e-2, *[(0.6, 0.6, 0.6)] * 2))
    assert {seed: len(runs) for seed, runs in entrants(found, "sst2").items()} == {0: 2, 1: 2, 2: 1}
    assert replayed(RULES, found, "sst2")[RACE].keys() == {0, 1}

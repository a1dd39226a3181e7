"""Which arms a race should begin with: chosen greedily by replayed races, and judged on tasks that had no say."""

from evidence import LORA, RANDOM, S3, Evidence
from made_up import evidence
from portfolio import Judge, known_races, portfolios

GOOD, FAIR, BAD = 0.9, 0.8, 0.5
SCORES = {
    "icd10-chapter": {LORA.title: FAIR, S3.title: GOOD, RANDOM.title: BAD},
    "sst2": {LORA.title: GOOD, S3.title: BAD, RANDOM.title: BAD},
    "stsb": {LORA.title: GOOD, S3.title: BAD, RANDOM.title: BAD},
}
ARMS = (LORA, S3, RANDOM)
FIRST, SECOND, THIRD = (f"{arm.title} at 0.01" for arm in ARMS)


def known(by_task):
    """Evidence of two seeds of each arm, at half as good as at the end."""
    tasks = {}
    for task, by_arm in by_task.items():
        scores = [(arm, by_arm[arm.title]) for arm in ARMS if arm.title in by_arm]
        rows = [(arm, 1e-2, seed, score, score, score) for arm, score in scores for seed in (0, 1)]
        tasks[task] = evidence(*rows, task=task).tasks[task]
    return Evidence(tasks)


def test_first_comes_what_is_best_alone_and_then_what_makes_up_for_it():
    judge = Judge(known_races(known(SCORES)))
    assert judge.chosen(2, tuple(SCORES)) == (FIRST, SECOND)
    assert round(judge.gap((FIRST,), tuple(SCORES)), 2) == round(-10 / 3, 2)
    assert judge.gap((FIRST, SECOND), tuple(SCORES)) == 0


def test_a_task_that_has_no_say_may_lose_more():
    # Without icd10-chapter, the only task on which it helps, `s3` comes second as the first of equals.
    lines = portfolios(known(SCORES)).splitlines()
    assert [line.split(" | ")[1:4] for line in lines[2:]] == [
        [FIRST, "-3.3", "-3.3"],
        [SECOND, "+0.0", "+0.0"],
        [THIRD, "+0.0", "+0.0"],
        ["all", "0.0", "0.0"],
    ]


def test_a_task_that_lacks_what_most_have_is_left_out():
    fewer = {**SCORES, "stsb": {LORA.title: GOOD, RANDOM.title: BAD}}
    assert known_races(known(fewer)).keys() == {"icd10-chapter", "sst2"}

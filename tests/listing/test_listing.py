from dataclasses import replace

import pytest

from core.run.errors import UsageError
from s3tui.listing.columns import COLUMNS
from s3tui.listing.filters import parse_filter, sorted_lines
from s3tui.listing.run_row import Line
from s3tui.listing.suite_totals import overviews

BASE = Line(
    name="first/a", suite="first", status="finished", note="", task="cb", method="s3", model="m", seed=0, phase="",
    step=None, total=None, score=0.5, best=None, parameters=100, used=100, budget=None, train_loss=None,
    validation_loss=None, seconds=60.0, left=None, device="", priority=0, tags=(),
)  # fmt: skip
LINES = [
    replace(BASE, name="first/good", score=0.9, tags=("new",)),
    replace(BASE, name="first/poor", score=0.2, method="random", tags=("old",)),
    replace(BASE, name="first/now", status="running", score=0.312, best=0.4, seconds=20.0),
    replace(BASE, name="second/later", suite="second", status="queued", score=None, task="rte", seconds=None),
]


def named(*words):
    keep = parse_filter(words)
    return [line.name.partition("/")[2] for line in LINES if keep(line)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["good", "poor", "now", "later"]),
        (["status:running"], ["now"]),
        (["status:running,queued"], ["now", "later"]),
        (["-status:finished"], ["now", "later"]),
        (["test>80"], ["good"]),
        (["test<=20"], ["poor"]),
        (["-test>80"], ["poor", "now", "later"]),
        (["test:61.25"], []),
        (["val>30"], ["now"]),
        (["best>30"], ["now"]),
        (["score>30"], ["good", "now"]),
        (["task:cb", "method:s3"], ["good", "now"]),
        (["task:cb method:random"], ["poor"]),
        (["-tag:old", "status:finished"], ["good"]),
        (["tag:*"], ["good", "poor"]),
        (["name:*/p*"], ["poor"]),
        (["suite=second"], ["later"]),
        (["oo"], ["good", "poor"]),
        (["-oo"], ["now", "later"]),
    ],
)
def test_filters_must_all_hold(words, found):
    assert named(*words) == found


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("scor>1", "there is no 'scor': did you mean 'score'"),
        ("test>high", "'high' is no number"),
        ("task>cb", "task is no number: write task:cb"),
    ],
)
def test_what_is_no_filter_is_told(word, message):
    with pytest.raises(UsageError, match=message):
        parse_filter([word])


def test_lines_without_a_value_come_last_in_either_order():
    def order(key):
        return [line.name.partition("/")[2] for line in sorted_lines(LINES, key)]

    assert order("test") == ["poor", "good", "now", "later"]
    assert order("-test") == ["good", "poor", "now", "later"]
    assert order("name") == ["good", "now", "poor", "later"]
    with pytest.raises(UsageError, match="did you mean 'score'"):
        order("scores")


def test_what_is_left_follows_from_what_the_finished_runs_took():
    first, second = overviews(LINES, {"first/now": 10.0})
    assert (first.counts["finished"], first.counts["running"], first.runs) == (2, 1, 3)
    assert first.eta == 40.0  # of the usual 60 seconds, 20 are over; its phase alone would need 10
    assert second.eta is None  # nothing of that suite has finished yet


def test_waiting_runs_share_the_places_of_those_that_run():
    lines = [BASE, replace(BASE, status="queued"), *[replace(BASE, status="running", seconds=60.0)] * 2]
    (only,) = overviews(lines, {BASE.name: 0.0})
    assert only.eta == 30.0


def test_a_filter_takes_the_score_as_it_is_shown():
    line = replace(BASE, score=0.61249999)
    shown = COLUMNS["test"].written(line)
    assert parse_filter([f"test:{shown}"])(line)
    assert not parse_filter(["test:0.6125"])(line)

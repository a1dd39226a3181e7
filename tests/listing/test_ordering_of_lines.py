"""The table of runs stays filtered and sorted while runs change."""

import random
from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from s3tui.listing.filters import parse_filter, sorted_lines
from s3tui.listing.run_row import Line
from s3tui.listing.sorted_rows import Ordering

EMPTY = Line(**{field.name: None for field in fields(Line)} | {"suite": "s", "status": "queued", "tags": ()})
STATES = ("queued", "running", "quiet", "finished", "failed")


def a_line(number, status, score):
    return replace(EMPTY, name=f"s/{number}", status=status, score=score)


lines = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(STATES), st.none() | st.integers(0, 3)), max_size=12
).map(lambda made: {f"s/{number}": a_line(number, status, score) for number, status, score in made})  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(lines, min_size=1, max_size=6), st.sampled_from(["", "score", "-score", "name", "status"]),
    st.sampled_from(["", "status:running,quiet", "score>1", "-status:failed"]),
)  # fmt: skip
def test_whatever_changes_the_order_is_that_of_sorting_anew(moments, sort, words):
    kept_up = Ordering(parse_filter([words]), sort)
    for moment in moments:
        anew = Ordering(parse_filter([words]), sort).of(moment)
        assert kept_up.of(moment) == anew
        if sort:
            assert anew == sorted_lines(filter(parse_filter([words]), moment.values()), sort)


def test_without_a_column_what_runs_comes_first_then_what_waits():
    made = [a_line(number, status, None) for number, status in enumerate(STATES)]
    random.Random(0).shuffle(made)
    shown = Ordering(parse_filter([])).of({line.name: line for line in made})
    assert [line.status for line in shown] == ["running", "quiet", "queued", "finished", "failed"]


def test_a_list_that_was_given_out_does_not_change():
    ordering = Ordering(parse_filter([]))
    before = ordering.of({"s/1": a_line(1, "running", 1)})
    ordering.of({"s/1": a_line(1, "running", 2)})
    assert before[0].score == 1

"""What is drawn of a curve is where it is, whatever the size of the plot."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3tui.runs.curves import Curve
from s3tui.tui.charts.axes import log_ticks, nice_ticks, written
from s3tui.tui.charts.canvas import Canvas, drawn
from s3tui.tui.charts.figures import Figure, Trace, View


def written_lines(figure, width=40, height=10, view=None):
    return ["".join(part for part, _ in line) for line in drawn(figure, view or View(), width, height)]


def a_curve(*y, dots=False):
    return Figure("", (Trace("", Curve(tuple(map(float, range(len(y)))), y), dots=dots, plain=True),))


def dots_of(canvas):
    """The dots that are set, from the lower left."""
    found = set()
    for row, line in enumerate(reversed(canvas.lines())):
        for column, mark in enumerate("".join(part for part, _ in line)):
            bits = ord(mark) - 0x2800 if mark != " " else 0
            for x, marks in enumerate(((0x40, 4, 2, 1), (0x80, 0x20, 0x10, 8))):
                found |= {(2 * column + x, 4 * row + y) for y, bit in enumerate(marks) if bits & bit}
    return found


points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30).map(
    lambda found: sorted(found, key=lambda point: point[0])
)


@settings(deadline=None)
@given(points, st.integers(1, 30), st.integers(1, 12))
def test_a_line_passes_its_points_and_has_no_gap(line, width, height):
    canvas = Canvas(width, height)
    canvas.curve(line, 0)
    dots = dots_of(canvas)
    for x, y in line:
        assert (round(x * (2 * width - 1)), round(y * (4 * height - 1))) in dots
    columns = {x for x, _ in dots}
    assert columns == set(range(min(columns), max(columns) + 1))
    for column in columns:
        ys = sorted(y for x, y in dots if x == column)
        assert ys == list(range(ys[0], ys[-1] + 1))
        beside = sorted(y for x, y in dots if x == column + 1)
        assert not beside or (beside[0] <= ys[-1] + 1 and beside[-1] >= ys[0] - 1)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50), st.integers(0, 60), st.integers(0, 20), st.booleans())
def test_every_line_is_as_wide_as_the_plot_and_there_are_as_many_as_it_has(y, width, height, log):
    lines = written_lines(a_curve(*y), width, height, View(log=log))
    assert lines == [] or ([len(line) for line in lines] == [width] * height)


def test_a_falling_curve_begins_at_the_top_and_ends_at_the_bottom():
    lines = written_lines(a_curve(3.0, 2.0, 1.0))
    rows = {column: row for row, line in enumerate(lines[:-2]) for column, mark in enumerate(line) if mark >= "\u2800"}
    assert rows[2] < 1 + rows[20] < 2 + rows[39]


def test_a_tick_stands_in_the_line_of_its_value():
    lines = written_lines(a_curve(0.0, 1.0, 2.0, 3.0, dots=True))
    assert [line.strip().startswith("2┤") for line in lines if "2" in line[:3]] == [True]
    row = next(line for line in lines if line.strip().startswith("2┤"))
    assert "●" in row


def test_on_a_logarithmic_scale_equal_factors_are_equal_ways():
    lines = written_lines(a_curve(1.0, 10.0, 100.0, dots=True), 41, 23, View(log=True))
    rows = [row for row, line in enumerate(lines) if "●" in line]
    assert len(rows) == 3
    assert abs((rows[2] - rows[1]) - (rows[1] - rows[0])) <= 1


def test_what_is_not_positive_has_no_place_on_a_logarithmic_scale():
    assert written_lines(a_curve(0.0, -1.0), view=View(log=True)) == []
    assert written_lines(Figure("", ())) == []


def test_a_level_and_the_border_between_phases_are_drawn():
    figure = Figure("", (Trace("", Curve((0.0, 10.0), (1.0, 5.0))),), level=(4.0, "budget"), borders=(5.0,))
    lines = written_lines(figure)
    assert sum("┄┄┄" in line for line in lines) == 1
    assert sum("┊" in line for line in lines) >= 5


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 17), (1e-5, 3e-5), (9000, 10200), (2, 2)])
def test_ticks_lie_between_the_ends_and_are_told_apart(low, high):
    ticks = nice_ticks(low, high, 6)
    assert ticks
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert len(set(written(ticks))) == len(ticks) <= 6


def test_a_narrow_plot_has_ticks_too():
    assert nice_ticks(1, 450, 2) == [200, 400]


def test_ticks_of_many_powers_of_ten_are_powers_of_ten():
    assert all(math.log10(tick) == round(math.log10(tick)) for tick in log_ticks(1e-6, 10, 4))


def test_steps_are_whole_numbers_on_their_axis_and_other_values_are_not():
    curve = Curve((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    of_steps = "".join(part for part, _ in drawn(Figure("loss", (Trace("", curve),)), View(), 80, 12)[-1])
    assert of_steps.split() == ["1", "2", "3"]
    of_seconds = "".join(part for part, _ in drawn(Figure("loss", (Trace("", curve),), "seconds"), View(), 80, 12)[-1])
    assert "1.5" in of_seconds.split()

"""Rows in one tensor are the rows that were put in."""

from hypothesis import given
from hypothesis import strategies as st

from core.tasks.ragged import Ragged

ROWS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5), max_size=6)


@given(ROWS)
def test_rows_come_out_as_they_went_in(rows):
    ragged = Ragged.of(rows)
    assert list(ragged) == rows
    assert [ragged[i] for i in range(len(ragged))] == rows
    assert ragged.lengths == [len(row) for row in rows]
    assert ragged.size(range(len(rows))) == sum(map(len, rows))
    assert ragged == Ragged(ragged.values.clone(), ragged.ends.clone())


@given(ROWS, ROWS)
def test_only_equal_rows_are_equal(rows, others):
    assert (Ragged.of(rows) == Ragged.of(others)) == (rows == others)

"""Tables of text keep within the terminal as far as they can."""

import pytest

from s3tui.text.columns import aligned, fitting

ROWS = [["name", "status", "test", "task"], ["a/seed=0", "finished", "48.05", "films"]]
RANKS = [0, 1, 2, 9]


@pytest.mark.parametrize(
    ("width", "head"),
    [(40, "name      status    test   task"), (32, "name      status    test   task"), (31, "name      status    test"),
     (10, "name      status    test")],
)  # fmt: skip
def test_columns_without_room_are_left_out_the_least_important_ones_first(width, head):
    assert aligned(fitting(ROWS, RANKS, width))[0] == head

"""Names are shortened in the middle, so that their ends can be told apart."""

import pytest
from rich.cells import cell_len

from s3tui.text.shorten import shortened

NAME = "first/by-chance/rate=0.003/seed=3"
COMBINATION = "searched/search.learning_rate=0.005,space=lora-all-rank1,seed=3"


@pytest.mark.parametrize(
    ("name", "room", "short"),
    [
        (NAME, 40, NAME),
        (NAME, 29, "first/…/rate=0.003/seed=3"),
        (NAME, 20, "first/…/seed=3"),
        (NAME, 10, "fir…seed=3"),
        ("a-long-name-without-slashes", 10, "a-l…lashes"),
        ("名前名前名前名前", 7, "名…名前"),
        (COMBINATION, 60, "searched/learning_rate=0.005,space=lora-all-rank1,seed=3"),
        (COMBINATION, 42, "searched/0.005,space=lora-all-rank1,seed=3"),
        (COMBINATION, 31, "searched/0.005,lora-all-rank1,3"),
        (COMBINATION, 24, "se…ched/0.005,lo…ank1,3"),
        (COMBINATION, 18, "s…ed/0…05,l…k1,3"),
        (COMBINATION, 10, "sea…seed=3"),
        (NAME, 1, "…"),
        (NAME, 0, ""),
    ],
)
def test_the_end_that_differs_stays(name, room, short):
    assert shortened(name, room) == short
    assert cell_len(short) <= room

"""Ranks of methods over tasks, against the values of Demsar 2006 and of small tables by hand."""

import math

import pytest
from ranks import critical_difference, friedman, mean_ranks


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (10, 3.164)]
)
def test_the_critical_difference_is_that_of_demsars_table(methods, q):
    assert critical_difference(methods, 10) == pytest.approx(q * math.sqrt(methods * (methods + 1) / 60), abs=1e-3)


def test_the_best_score_has_rank_one_and_equal_ones_share_theirs():
    assert mean_ranks([[70.0, 80.0, 60.0], [70.0, 70.0, 60.0]]) == [1.75, 1.25, 3.0]


def test_friedmans_test_of_tasks_that_all_agree():
    # Chi-square is N (k - 1) then, and p that of two degrees of freedom, exp(-chi / 2).
    assert friedman([[3.0, 2.0, 1.0]] * 4) == pytest.approx((8.0, math.exp(-4)))

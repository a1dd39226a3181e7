"""Orders and splits are pure functions that lose and repeat nothing."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tasks.order import batch_indices, epoch_order, halves, steps_per_epoch, three_way

sizes = st.integers(1, 200)
batch_sizes = st.integers(1, 64)
seeds = st.integers(0, 2**32)


@given(sizes, batch_sizes, seeds, st.integers(0, 5))
def test_an_epoch_visits_no_example_twice_and_leaves_out_less_than_a_batch(n, batch_size, seed, epoch):
    steps = steps_per_epoch(n, batch_size)
    batches = [batch_indices(n, batch_size, seed, epoch * steps + i) for i in range(steps)]
    visited = [i for batch in batches for i in batch]
    assert len(visited) == len(set(visited))
    assert set(visited) <= set(range(n))
    assert n - len(visited) < batch_size
    assert {len(batch) for batch in batches} == {min(n, batch_size)}


@given(st.integers(1, 40), st.integers(1, 5), seeds)
def test_an_epoch_of_whole_batches_visits_each_example_once(batch_size, batches, seed):
    n = batch_size * batches
    visited = [i for step in range(batches) for i in batch_indices(n, batch_size, seed, step)]
    assert sorted(visited) == list(range(n))


@given(sizes, batch_sizes, seeds, st.lists(st.integers(0, 1000), min_size=1))
def test_the_batch_of_a_step_does_not_depend_on_the_steps_before(n, batch_size, seed, steps):
    expected = {step: batch_indices(n, batch_size, seed, step) for step in steps}
    epoch_order.cache_clear()
    assert {step: batch_indices(n, batch_size, seed, step) for step in reversed(steps)} == expected


def test_every_epoch_and_every_seed_has_an_order_of_its_own():
    orders = {epoch_order(50, seed, epoch) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_is_the_same_in_every_version():
    # Changing this changes every result that was ever reported.
    assert batch_indices(8, 4, seed=0, step=0) == [3, 7, 2, 5]


@given(sizes, seeds)
def test_halves_share_nothing_and_lose_nothing(n, seed):
    train, validation = halves(n, seed)
    assert sorted(train + validation) == list(range(n))
    assert len(train) - len(validation) in (0, 1)


def test_halves_follow_the_seed():
    assert halves(40, 1) == halves(40, 1) != halves(40, 2)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=300), seeds)
def test_a_split_has_each_row_once_and_every_group_in_train(strata, seed):
    splits = three_way(strata, seed)
    assert sorted(chain(*splits.values())) == list(range(len(strata)))
    assert {strata[i] for i in splits["train"]} == set(strata)
    assert len(splits["validation"]) == len(splits["test"]) <= len(strata) / 10


@given(st.dictionaries(st.integers(0, 9), st.integers(3, 80), min_size=1), seeds)
def test_each_group_gives_a_tenth_to_validation_and_to_test(groups, seed):
    strata = [group for group, count in groups.items() for _ in range(count)]
    splits = three_way(strata, seed)
    for split in ("validation", "test"):
        counts = Counter(strata[i] for i in splits[split])
        assert all(abs(counts[group] - count / 10) < 1 for group, count in groups.items())


@pytest.mark.parametrize(("n", "held"), [(9, 0), (10, 1), (99, 9), (100, 10)])
def test_without_groups_a_tenth_is_held_out_twice(n, held):
    assert [len(rows) for rows in three_way([""] * n, 0).values()] == [n - 2 * held, held, held]

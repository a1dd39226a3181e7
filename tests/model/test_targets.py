"""How methods of PEFT spend a budget: never more than it, whatever ranks PEFT hands out, and evenly over the layers."""

from __future__ import annotations

import itertools

import pytest
from support import build

from core.model.targets import plan
from core.run.errors import SpecError
from core.run.methods import OWN
from core.run.structure import choices_of, whole_space

ADAPTERS = {row.name: row.adapter for row in OWN if row.adapter}
BUDGETS = (64, 65, 130, 400, 1000, 5000, 10**7)


@pytest.mark.parametrize("pattern", [None, "{attn.{q,v,qkv},ffn.out}"])
@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_no_allocation_of_the_ranks_exceeds_the_budget(name, family, pattern):
    adapter, model = ADAPTERS[name], build(family)
    pattern = None if adapter.ranks == "none" else pattern
    for budget, rank in itertools.product(BUDGETS, (None, 2)):
        try:
            found = plan(adapter, pattern, rank, budget, model)
        except SpecError:
            continue
        costs = [target.cost for target in found.targets]
        ranks = [target.rank for target in found.targets]
        if adapter.ranks == "pool":
            assert found.total * max(costs) <= budget
            assert (sum(ranks) > found.total) == adapter.allocates
        else:
            assert whole_space(found.candidates) == sum(map(int.__mul__, costs, ranks)) <= budget
            assert len(set(choices_of(found.candidates))) == len(found.candidates)
        assert rank is None or adapter.ranks == "none" or set(ranks) <= {rank}


def test_a_larger_budget_gives_larger_ranks_with_one_more_where_it_is_left_over():
    model, adapter = build("bert"), ADAPTERS["lora"]  # 4 targets of 64 parameters a rank
    assert [[t.rank for t in plan(adapter, None, None, b, model).targets] for b in (63 + 64, 256, 511, 512)] == [
        [1], [1] * 4, [2, 1, 2, 2], [2] * 4,
    ]  # fmt: skip

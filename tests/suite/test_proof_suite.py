"""suites/proof.toml and its like: every method at equal compute, each rate chosen with a seed of its own."""

import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from core.run.methods import method_of
from core.run.searched import search_digest
from s3tui.suite.load import load

SUITES = Path(__file__).parents[2] / "suites"
# Steps of retraining that take as long as a search, and as all of saliency (the head of the suite).
TWO_LEVELS, ONE_LEVEL, SALIENCY = 500, 200, 50


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The runs of the suites where their data can be put beside them, by suite, and by variant or experiment."""
    folder = tmp_path_factory.mktemp("proof")
    for made in ("suites", "data"):
        (folder / made).mkdir()
    found = {}
    for name in ("proof", "proof-rates", "proof-race"):
        found[name] = defaultdict(list)
        for run in load(Path(shutil.copy(SUITES / f"{name}.toml", folder / "suites"))).runs:
            experiment, _, values = run.name.partition("/")
            found[name][values.partition("variant=")[2] or experiment].append(run.spec)
    return found


def test_all_that_train_a_part_of_the_model_cost_the_same(planned):
    for specs in planned["proof"].values():
        for spec in specs:
            search = TWO_LEVELS if spec.search.bilevel else ONE_LEVEL
            searched = {"s3": search, "bipeft": search, "saliency": SALIENCY}.get(spec.method, 0)
            assert spec.retrain.max_steps + searched == 1700
            assert (spec.search.max_steps, spec.search.batch_size) == (150, 16) or not method_of(spec.method).searches


def test_each_method_has_a_rate_of_its_own_from_a_seed_that_the_proof_has_not(planned):
    proof, rates = planned["proof"], planned["proof-rates"]
    assert proof.keys() == rates.keys()
    for name, specs in rates.items():
        assert {spec.seed for spec in specs}.isdisjoint(spec.seed for spec in proof[name])
        ways = [{(s.method, s.space.name, s.step_scale) for s in one} for one in (specs, proof[name])]
        assert ways[0] == ways[1]
        tried = defaultdict(set)
        for spec in specs:
            tried[spec.task.name].add(spec.retrain.learning_rate)
        assert len(tried) == 3
        assert {len(values) for values in tried.values()} == {5}


def test_every_method_is_on_nine_tasks_with_five_paired_seeds(planned):
    for specs in planned["proof"].values():
        cells = defaultdict(set)
        for spec in specs:
            cells[spec.task.name, spec.budget].add(spec.seed)
        assert len({task for task, _ in cells}) == 9
        assert all(set(range(5)) <= seeds for seeds in cells.values())
        assert {spec.data_seed for spec in specs} == {1}


def test_the_arms_of_replayed_races_differ_in_method_and_rate_alone(planned):
    arms = [spec for specs in planned["proof-race"].values() for spec in specs]
    races = defaultdict(list)
    for spec in arms:
        races[spec.task.name, spec.seed].append((spec.method, spec.space.name, spec.retrain.learning_rate))
    assert len(races) == 6 * 3
    assert len({frozenset(race) for race in races.values()}) == 1
    assert all(len(set(race)) == len(race) == 15 for race in races.values())
    assert len({search_digest(spec.model_dump(mode="json")) for spec in arms if spec.method == "s3"}) == 6 * 3

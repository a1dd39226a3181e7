"""suites/offline-*.toml: searches against chance, LoRA and BitFit on real text, from folders of data."""

import itertools
import shutil
from collections import Counter
from pathlib import Path

import pytest

from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

SUITE = Path(__file__).parents[2] / "suites/offline-glue.toml"
TASKS = {"cola", "sst2", "mrpc", "stsb", "rte", "superglue-cb"}
WAYS = {("s3", "mix"), ("bipeft", "mix"), ("random", "mix"), ("fixed", "lora"), ("fixed", "bitfit")}


@pytest.fixture
def copied(tmp_path):
    """The suite where its data can be put beside it."""
    (tmp_path / "suites").mkdir()
    return Path(shutil.copy(SUITE, tmp_path / "suites"))


def way(spec):
    space = spec.space.name
    return spec.method, {"mix-low-rank": "mix", "lora-q-v": "lora"}.get(space, space)


def test_it_plans_every_method_on_every_task_with_every_seed_once_and_at_one_budget(copied, tmp_path):
    (tmp_path / "data").mkdir()
    specs = [run.spec for run in load(copied).runs]
    every = {(task, way, seed) for task in TASKS for way in WAYS for seed in range(3)}
    assert Counter((s.task.name, way(s), s.seed) for s in specs) == Counter(every)
    assert {s.budget for s in specs} == {9216}
    assert {s.task.data_root for s in specs} == {str(tmp_path / "data")}


def test_without_its_data_it_says_which_folder_is_missing(copied, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(copied)
    assert all(f"data_root: there is no folder {str(tmp_path / 'data')!r}" in one for one in caught.value.problems)


def test_the_suite_of_a_decoder_plans_every_way_on_every_task_at_both_budgets(tmp_path):
    (tmp_path / "suites").mkdir()
    (tmp_path / "data").mkdir()
    specs = [
        run.spec for run in load(Path(shutil.copy(SUITE.with_name("offline-decoder.toml"), tmp_path / "suites"))).runs
    ]
    tasks = ("icd10-chapter", "sst2", "rte", "superglue-cb", "superglue-copa")
    ways = [(method, "rank1-and-biases") for method in ("s3", "saliency", "random")]
    ways += [("fixed", "lora-q-v"), ("fixed", "bitfit")]
    every = itertools.product(tasks, ways, (2e-5, 1e-4), (0, 1))
    assert Counter((s.task.name, (s.method, s.space.name), s.budget, s.seed) for s in specs) == Counter(every)
    assert {s.model for s in specs} == {"builtin:smollm2-135m"}

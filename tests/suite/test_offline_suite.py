"""Suites that read their data from folders."""

import itertools
import shutil
from collections import Counter
from pathlib import Path

import pytest

from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

SUITES = Path(__file__).parents[2] / "suites"


def test_without_its_data_it_says_which_folder_is_missing(tmp_path):
    (tmp_path / "suites").mkdir()
    with pytest.raises(ConfigError) as caught:
        load(Path(shutil.copy(SUITES / "offline-decoder.toml", tmp_path / "suites")))
    assert all(f"data_root: there is no folder {str(tmp_path / 'data')!r}" in one for one in caught.value.problems)


def test_the_suite_of_a_decoder_plans_every_way_on_every_task_at_both_budgets(tmp_path):
    (tmp_path / "suites").mkdir()
    (tmp_path / "data").mkdir()
    specs = [run.spec for run in load(Path(shutil.copy(SUITES / "offline-decoder.toml", tmp_path / "suites"))).runs]
    tasks = ("icd10-chapter", "sst2", "rte", "superglue-cb", "superglue-copa")
    ways = [(method, "rank1-and-biases") for method in ("s3", "saliency", "random")]
    ways += [("fixed", "lora-q-v"), ("fixed", "bitfit")]
    every = itertools.product(tasks, ways, (2e-5, 1e-4), (0, 1))
    assert Counter((s.task.name, (s.method, s.space.name), s.budget, s.seed) for s in specs) == Counter(every)
    assert {s.model for s in specs} == {"builtin:smollm2-135m"}

"""The suites that come with s3tui are valid, so that whoever starts from one starts."""

from pathlib import Path

import pytest

from core.run.given import awaited
from s3tui.config import load

SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.toml"))


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_a_suite_that_comes_with_s3tui_is_valid(file):
    assert load(file).runs


def test_the_transfer_suite_trains_every_structure_on_every_task():
    suite = load(Path(__file__).parents[2] / "suites/transfer.toml")
    sources = {f"transfer/{run.name}" for run in suite.runs if run.name.startswith("source/")}
    pairs = {(run.spec.task.name, awaited(run.spec)) for run in suite.runs if run.spec.method == "given"}
    tasks = {run.spec.task.name for run in suite.runs}
    assert pairs == {(task, source) for task in tasks for source in sources}
    assert len(pairs) == 36

"""suites/transfer.toml: every structure on every task."""

from pathlib import Path

from core.run.given import awaited
from s3tui.suite.load import load


def test_the_transfer_suite_trains_every_structure_on_every_task():
    suite = load(Path(__file__).parents[2] / "suites/transfer.toml")
    sources = {f"transfer/{run.name}" for run in suite.runs if run.name.startswith("source/")}
    pairs = {(run.spec.task.name, awaited(run.spec)) for run in suite.runs if run.spec.method == "given"}
    tasks = {run.spec.task.name for run in suite.runs}
    assert pairs == {(task, source) for task in tasks for source in sources}
    assert len(pairs) == 36

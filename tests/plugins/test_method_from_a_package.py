"""A method that another package brings: searched and not, in a suite, in real workers; and a package that is broken."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import save_model, save_reviews

from core.run.events import Gates, Step, read_events
from core.run.methods import OWN
from core.run.rundir import RunDir, read_json
from core.run.structure import Structure

# What a package needs: rows, code that they name, and entry points.
ROWS = """
from core.run.methods import MethodRow

SMALLEST = MethodRow(
    "smallest", "searches, and takes the smallest candidates", code="my_methods.code:Smallest",
    length="search", gates=True, by="size", title="smallest first", source="nowhere 2026",
)
LARGEST = MethodRow("largest", "takes the largest candidate", code="my_methods.code:largest", baseline=True)
"""
CODE = """
from core.search.methods.s3 import S3


class Smallest(S3):
    def order(self, state, p):
        return sorted(range(len(p)), key=lambda i: self.model.parameters[i])

    def result(self, state, best):
        return best.p, self.cut.select(best.p, self.order(state, best.p))


def largest(setup):
    sizes = [placed.candidate.parameters for placed in setup.placed]
    return [sizes.index(max(sizes))]
"""
ENTRY_POINTS = """
[s3tui.methods]
smallest = my_methods.rows:SMALLEST
largest = my_methods.rows:LARGEST
broken = my_methods.missing:ROW
"""
SUITE = """
[suite]
name = "own"
threads = 1

[defaults]
model = "model"
task = { path = "reviews.jsonl", text = "text", label = "label", max_length = 24 }
space = "mix-low-rank"
budget = 300
search = { max_steps = 3, eval_every = 3, batch_size = 8 }
retrain = { max_steps = 2, batch_size = 8 }

[experiment.searched]
method = "smallest"

[experiment.single]
method = "largest"
"""
COMMAND = Path(sys.executable).with_name("s3tui")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a suite, and beside it an installed package with methods."""
    root = tmp_path_factory.mktemp("own")
    save_model("bert", root / "model")
    save_reviews(root / "reviews.jsonl")
    (root / "suite.toml").write_text(SUITE)
    package, about = root / "installed/my_methods", root / "installed/my_methods-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").touch()
    (package / "rows.py").write_text(ROWS)
    (package / "code.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-methods\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return root


def s3tui(folder: Path, *arguments: str, installed: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if installed:
        environment["PYTHONPATH"] = str(folder / "installed")
    return subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def done(folder) -> Path:
    """The same folder after `s3tui run suite.toml`."""
    run = s3tui(folder, "run", "suite.toml")
    assert run.returncode == 0, run.stderr
    return folder


def test_the_worker_searches_with_the_code_of_the_package(done):
    run = RunDir(done / "runs/own/searched")
    structure = Structure.from_json(read_json(run.structure))
    events = read_events(run.events)[0]
    sizes = [candidate.parameters for candidate in structure.candidates]
    left_out = [n for i, n in enumerate(sizes) if i not in structure.selected]
    assert structure.parameters <= 300 < structure.parameters + min(left_out)
    assert max(c.parameters for c in structure.chosen) <= min(left_out)
    assert [e.step for e in events if isinstance(e, Step) and e.phase == "search"] == [1, 2, 3]
    orders = [e.order for e in events if isinstance(e, Gates)]
    assert orders
    assert all(sizes[a] <= sizes[b] for order in orders for a, b in itertools.pairwise(order))


def test_a_method_without_a_search_is_a_function(done):
    structure = Structure.from_json(read_json(RunDir(done / "runs/own/single").structure))
    (chosen,) = structure.chosen
    assert chosen.parameters == max(c.parameters for c in structure.candidates)


def test_results_know_which_is_a_search_and_which_a_baseline(done):
    table = s3tui(done, "results", "suite.toml")
    assert "smallest (searched, " in table.stdout
    assert "the best without a search, largest (single, " in table.stdout


def test_where_the_package_is_missing_its_runs_are_listed_and_its_suite_is_refused_in_a_line(done):
    listed = s3tui(done, "list", "--in", "runs", "--json", installed=False)
    assert listed.returncode == 0, listed.stderr
    assert {run["method"] for run in json.loads(listed.stdout)["runs"]} == {"smallest", "largest"}
    refused = s3tui(done, "validate", "suite.toml", installed=False)
    assert refused.returncode == 2
    known = ", ".join(sorted(row.name for row in OWN))
    assert f"experiment.searched.method: unknown value 'smallest', known: {known}" in refused.stderr


def test_a_package_that_is_broken_is_said_in_a_line(folder):
    (folder / "broken.toml").write_text(SUITE.replace('"largest"', '"broken"'))
    refused = s3tui(folder, "validate", "broken.toml")
    assert refused.returncode == 2
    assert "method 'broken' of an installed package cannot be used: my_methods.missing:ROW fails with" in refused.stderr
    assert "experiment.single.method" in refused.stderr
    assert "Traceback" not in refused.stderr

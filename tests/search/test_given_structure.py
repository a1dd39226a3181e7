"""A given structure, trained by the worker on tiny real models."""

from __future__ import annotations

import pytest
from support import make_run, run_spec
from workers import attempt

from core.run.errors import EXIT_OK, EXIT_USAGE
from core.run.events import Failed, read_events
from core.run.given import awaited_space, given_space
from core.run.rundir import read_json
from core.run.structure import Structure


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_what_a_search_found_trains_the_same_when_it_is_given(tmp_path, root, uninterrupted, family):
    """The structure alone decides: a run that is given it ends with the same weights, bit for bit."""
    searched = uninterrupted(run_spec(root / family, root / "reviews.jsonl"))
    structure = Structure.from_json(read_json(searched.structure))
    assert len(structure.chosen) > 1
    spec = run_spec(root / family, root / "reviews.jsonl", method="given", space=given_space("found", structure))
    run = make_run(tmp_path / "given", spec)
    assert attempt(run) == EXIT_OK
    assert Structure.from_json(read_json(run.structure)).chosen == structure.chosen
    assert read_json(run.result)["metrics"] == read_json(searched.result)["metrics"]
    ours, theirs = (path.read_bytes() for path in (run.delta, searched.delta))
    assert ours == theirs


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": 100}, "trains {parameters} parameters, the budget is 100"),
        ({"space": awaited_space("first/other")}, "the structure of first/other is not filled in"),
    ],
)
def test_a_structure_that_cannot_be_trained_as_it_is_is_refused(tmp_path, root, uninterrupted, changes, words):
    searched = uninterrupted(run_spec(root / "bert", root / "reviews.jsonl"))
    structure = Structure.from_json(read_json(searched.structure))
    given = {"method": "given", "space": given_space("found", structure)}
    run = make_run(tmp_path / "given", run_spec(root / "bert", root / "reviews.jsonl", **given | changes))
    assert attempt(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert words.format(parameters=structure.parameters) in failed.message

"""What the preview of a suite says of a run, by its method."""

import pytest

from core.run.methods import OWN
from core.run.spaces import library_space
from core.run.spec import RunSpec
from s3tui.runs.records.queue import Queue
from s3tui.suite.load import PlannedRun
from s3tui.suite.plan import Outlook
from s3tui.tui.tables.planned_rows import detail_of


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_the_length_of_a_search_is_told_where_there_is_one(row):
    settings = {
        "model": "m", "task": {"name": "rte"}, "space": library_space("bitfit"), "method": row.name, "budget": 100,
        "search": {"max_steps": 1200}, "retrain": {"epochs": 3},
    }  # fmt: skip
    outlook = Outlook(PlannedRun("a", RunSpec.model_validate(settings), Queue()), "new", "")
    lines = ["".join(part for cell in line for part, _ in cell) for line in detail_of(outlook, None, False)]
    (length,) = [line.split(maxsplit=1)[1] for line in lines if line.startswith("length")]
    search = {"search": "search 1,200 steps, ", "saliency": "search 45 steps, ", "": ""}[row.length]
    assert length == f"{search}retrain 3 epochs"
    assert any(line.startswith("space") for line in lines) == (row.space in ("chosen", "whole"))

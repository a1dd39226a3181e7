"""The index of a workspace: what it knows of runs that begin, finish and are deleted."""

import shutil

from stand_in import result

from core.run.rundir import RunDir, write_json
from s3tui.runs.index import Board
from s3tui.runs.status import Done
from s3tui.runs.workspace import Workspace

SPEC = {"task": {"name": "icd10-chapter"}, "model": "m", "method": "s3", "seed": 0}


def test_the_unfinished_runs_are_those_without_a_result(tmp_path):
    board = Board(Workspace(tmp_path))
    for name in ("first/a", "first/b", "first/c"):
        RunDir(tmp_path / name).create(SPEC)
    board.refresh()
    assert board.unfinished == board.runs
    write_json(RunDir(tmp_path / "first/a").result, result(SPEC, 0.5))
    board.read("first/a")
    shutil.rmtree(tmp_path / "first/b")
    board.read("first/b")
    assert isinstance(board.runs["first/a"].status, Done)
    assert (sorted(board.runs), sorted(board.unfinished)) == (["first/a", "first/c"], ["first/c"])
    RunDir(tmp_path / "first/a").result.unlink()  # as --fresh does
    board.read("first/a")
    assert sorted(board.unfinished) == ["first/a", "first/c"]

"""Models, data and uninterrupted runs that the tests of resuming compare with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import make_run, save_model, save_reviews
from workers import attempt, outcome

from core.run.errors import EXIT_OK
from core.run.rundir import RunDir
from core.run.spec import RunSpec


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """A folder with two models and data."""
    folder = tmp_path_factory.mktemp("resumable")
    for family in ("bert", "t5"):
        save_model(family, folder / family)
    save_reviews(folder / "reviews.jsonl")
    return folder


@pytest.fixture(scope="session")
def uninterrupted(root) -> Callable[[RunSpec], RunDir]:
    """An uninterrupted run of a spec, made once."""

    def run_of(spec: RunSpec) -> RunDir:
        run = RunDir(root / spec.digest())
        if not run.exists():
            make_run(run.path, spec)
            assert attempt(run) == EXIT_OK
        return run

    return run_of


@pytest.fixture(scope="session")
def reference(uninterrupted) -> Callable[[RunSpec], dict]:
    """The outcome of an uninterrupted run of a spec."""
    return lambda spec: outcome(uninterrupted(spec))

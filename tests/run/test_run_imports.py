"""Reading settings and events is cheap: what is heavy stays out of a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import core.run

MODULES = sorted(f"core.run.{path.stem}" for path in Path(core.run.__file__).parent.glob("*.py"))
HEAVY = {"torch", "transformers", "datasets", "numpy", "scipy", "sklearn", "textual", "typer", "rich", "core.tasks"}
LIGHT = [f"core.run.{name}" for name in ("errors", "events", "rundir", "structure", "deltas", "original", "tasks")]

PROGRAM = """
import sys
before = set(sys.modules)
for name in sys.argv[1:]:
    __import__(name)
print(*(set(sys.modules) - before))
"""


def imported(*modules: str) -> set[str]:
    """What importing these brings into a fresh interpreter."""
    command = [sys.executable, "-c", PROGRAM, *modules]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split())


def test_the_contract_of_a_run_imports_nothing_heavy():
    names = [module for module in MODULES if not module.endswith("__init__")]
    brought = imported(*names)
    assert set(names) <= brought
    assert brought & (HEAVY | {"s3tui"}) == set()


@pytest.mark.parametrize("module", ["core", "core.run", *LIGHT])
def test_files_and_events_are_read_without_pydantic(module):
    assert imported(module) & (HEAVY | {"pydantic", "pydantic_core"}) == set()

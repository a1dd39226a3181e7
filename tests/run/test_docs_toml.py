"""The reference of the TOML says what the settings say, and its examples are files that work."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from s3tui.suite.load import load

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "toml.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The generator, which is a script and not part of a package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(generate):
    assert generate.page(PAGE) == PAGE, "run `python docs/generate.py`"


def test_a_stale_or_incomplete_page_is_noticed(generate):
    assert generate.page(PAGE.replace("| `seed` |", "| `sead` |")) == PAGE
    with pytest.raises(KeyError, match="deltas"):
        generate.page(PAGE.replace("<!-- generated: deltas -->", ""))
    with pytest.raises(KeyError, match="poems"):
        generate.page(PAGE + "<!-- generated: poems -->\n<!-- end -->\n")


def test_the_examples_of_the_reference_plan_the_runs_that_it_names(tmp_path):
    first, compared, variants, task, space = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "reviews.jsonl").touch()
    defaults = f'[defaults]\nmodel = "builtin:minilm"\nspace = "small"\nbudget = 100\n{task}search.epochs = 1\n'
    (tmp_path / "suite.toml").write_text("\n".join([defaults, first, compared, variants, space]), encoding="utf-8")
    suite = load(tmp_path / "suite.toml")
    names = [run.name for run in suite.runs]
    assert (suite.name, suite.workspace, len(names)) == ("suite", tmp_path / "runs", 13)
    assert names[0] == "first"
    assert all(f"`{name}`" in PAGE for name in (names[1], names[-3]))


def test_links_within_the_page_lead_somewhere():
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors

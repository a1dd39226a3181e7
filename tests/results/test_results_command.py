"""`s3tui results`: which suite, and what of its folder belongs to it."""

import json

import pytest
from processes import SUITE
from stand_in import result

from core.run.rundir import write_json
from s3tui.suite.load import load

TWO = "[experiment.kept]\n[experiment.former]\nseed = 1\n"


@pytest.fixture
def finished(suite):
    """A suite whose runs are finished."""
    file = suite(TWO)
    loaded = load(file)
    for run in loaded.runs:
        directory = loaded.directory(run)
        directory.create(run.spec.model_dump(mode="json"))
        write_json(directory.result, result(run.spec.model_dump(mode="json"), 0.5))
    return file


def test_an_experiment_that_was_renamed_is_left_out_with_a_line(finished, s3tui):
    code, out, err = s3tui("results", str(finished))
    assert code == 0
    assert err.startswith(f"see it: s3tui open {finished}; take it along: s3tui export first/")
    assert "former" in out
    finished.write_text(SUITE + "[experiment.kept]\n")
    code, out, err = s3tui("results", str(finished), "--json")
    assert [row["experiment"] for row in json.loads(out)["rows"]] == ["kept"]
    assert err.startswith("1 run left out that the suite no longer has: former (s3tui results ")
    folder = err.split("s3tui results ")[1].removesuffix(" shows all)\n")
    code, out, err = s3tui("results", folder, "--json")
    assert {row["experiment"] for row in json.loads(out)["rows"]} == {"kept", "former"}


def test_without_a_file_it_says_which_suites_there_are(finished, s3tui, tmp_path):
    code, out, err = s3tui("results")
    assert (code, out) == (2, "")
    assert err == (
        "s3tui: there is no experiments.toml: suites here: suite.toml; name one, or the folder of a workspace\n"
    )
    finished.unlink()
    code, _, err = s3tui("results")
    assert (code, "name the TOML file of a suite, or the folder of a workspace" in err) == (2, True)


def test_fresh_lists_what_it_would_delete_and_deletes_nothing_without_a_yes(finished, s3tui, tmp_path):
    finished.write_text(finished.read_text().replace("budget = 4e-4", "budget = 5e-4"))
    code, out, err = s3tui("run", str(finished), "--fresh")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "kept (finished): --fresh deletes it, results too",
        "former (finished): --fresh deletes it, results too",
        "s3tui: stdin is not a terminal: pass --yes",
    ]
    assert len(list((tmp_path / "runs").rglob("result.json"))) == 2

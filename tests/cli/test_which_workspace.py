"""Only `run` makes a workspace; every other command says that there is none, and leaves nothing behind."""

import os

import pytest
from every_command import call, every_command, needed, options_of

from core.run.rundir import RunDir

WITH_IN = [(words, command) for words, command in every_command() if "--in" in options_of(command)]
NAMES = [" ".join(words) for words, _ in WITH_IN]


def tree(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with another beside it that is nothing of ours."""
    (tmp_path / "any/deep/deeper/runs/first/x").mkdir(parents=True)
    (tmp_path / "any/deep/deeper/runs/first/x/spec.json").write_text("{}")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_the_commands_are_found():
    assert {"list", "pause", "gc", "attach", "mirror", "plot", "export", "structure diff"} <= set(NAMES)


@pytest.mark.parametrize("where", ["", "../any", "/dev/null", "/dev/zero", "../none", "../fifo"])
@pytest.mark.parametrize(("words", "command"), WITH_IN, ids=NAMES)
def test_a_command_on_what_is_no_workspace_is_one_line_and_leaves_no_trace(words, command, where, here, capfd):
    os.mkfifo(here / "fifo")
    before = tree(here)
    code = call(*words, *needed(command), "--in", where)
    out, err = capfd.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("s3tui: ")
    assert tree(here) == before


@pytest.mark.parametrize(("words", "command"), WITH_IN, ids=NAMES)
def test_a_suite_that_never_ran_has_no_workspace_made_for_it(words, command, here, capfd):
    (here / "work/suite.toml").write_text('[suite]\nname = "first"\n')
    before = tree(here)
    code = call(*words, *needed(command), "--in", "suite.toml")
    assert tree(here) == before
    out, err = capfd.readouterr()
    reads = words in {("status",), ("list",)}
    assert code == (0 if reads else 2), err
    assert out.count("\n") == (2 if words == ("status",) else 0)


@pytest.mark.parametrize("words", [("open",), ("results",), ("report", "-o", "out.html")])
def test_an_empty_path_is_not_the_current_folder(words, here, capfd):
    RunDir(here / "work/first/x").create({"model": "m"})
    assert call(*words, "") == 2
    assert capfd.readouterr().err == "s3tui: the path is empty: give a path, or leave the option out\n"


def test_runs_that_were_copied_without_their_hidden_folder_are_a_workspace(here, capfd):
    RunDir(here / "work/first/x").create({"model": "m"})
    assert call("pause", "--in", ".") == 0
    assert (here / "work/.s3tui/paused").exists()


@pytest.mark.parametrize("name", ["x", "y/seed=1", "y"])
@pytest.mark.parametrize("arguments", [(), ("--fresh",)])
def test_a_run_that_is_a_link_is_refused(suite, workspace, tmp_path, capfd, name, arguments):
    file = suite("[experiment.x]\n[experiment.y]\nmatrix = { seed = [1, 2] }\n")
    link, elsewhere = workspace.path / "first" / name, tmp_path / "elsewhere"
    elsewhere.mkdir()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere)
    assert call("run", str(file), *arguments) == 2
    told = capfd.readouterr().err
    assert f"{link} is a link, which may lead anywhere; delete it\n" in told
    assert list(elsewhere.iterdir()) == []
    assert workspace.names() == []

"""No process of ours takes code from a workspace or a run, whatever PYTHONPATH says."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import STAND_IN, wait_until
from support import make_run, run_spec, save_model, save_reviews

import s3tui
from core.run.errors import S3Error
from core.run.rundir import RunDir
from s3tui.cli.commands.export import export
from s3tui.devices.placement import Gpu, Place
from s3tui.launchers.start_supervisor import start_supervisor
from s3tui.scheduling.start_detached import start_detached
from s3tui.suite.model_sites import examine
from s3tui.system import child
from s3tui.tracking.start import start_mirrors

SPEC = {"task": {"name": "t"}, "method": "s3", "seed": 0, "device": "cpu", "model": "succeed"}
MODULES = ("sitecustomize", "usercustomize", "json", "core", "s3tui", "torch", "typing_extensions")
PATHS = (":/opt", "/opt:", "relative", ".", "..:./relative")


@pytest.fixture
def trap(tmp_path):
    """Leave modules in a folder that say so when they are imported; gives what was."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def leave(folder):
        for place in (folder, folder / "relative"):
            for name in MODULES:
                (place / name).mkdir(parents=True)
                (place / name / "__init__.py").write_text(f"open({str(marks / name)!r}, 'w').close()")

    leave.marks = lambda: sorted(path.name for path in marks.iterdir())
    return leave


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", request.param)


@pytest.fixture
def every_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(PATHS))


def waiting_run(workspace, trap):
    """A run whose folder, with those above it, holds traps."""
    run = workspace.run("first/x")
    run.create(SPEC)
    workspace.make()
    for folder in (workspace.path, workspace.shared, run.path.parent, run.path):
        trap(folder)
    return run


def test_a_trap_works_where_a_child_is_started_without_care(trap, tmp_path, path):
    trap(tmp_path)
    trap(tmp_path / "below")
    subprocess.run([sys.executable, "-c", ""], cwd=tmp_path / "below", check=False)
    assert "sitecustomize" in trap.marks()


def test_supervisor_and_worker_take_no_code_from_a_run(trap, workspace, path):
    run = waiting_run(workspace, trap)
    supervisor = start_supervisor(run, Place(1), "cpu", (), STAND_IN)
    assert supervisor.wait(60) == 0
    assert run.result.exists()
    assert trap.marks() == []


def test_a_detached_dispatcher_and_what_it_starts_take_no_code_from_a_workspace(trap, workspace, path):
    run = waiting_run(workspace, trap)
    workspace.queue.change(run, lambda queue: queue.__class__())
    start_detached(workspace, STAND_IN)
    wait_until(run.result.exists)
    wait_until(lambda: workspace.dispatcher() is None)
    assert trap.marks() == []


def test_a_mirror_takes_no_code_from_a_run(trap, workspace, path):
    pytest.importorskip("tensorboard")
    run = waiting_run(workspace, trap)
    assert start_supervisor(run, Place(1), "cpu", (), STAND_IN).wait(60) == 0
    (mirror,) = start_mirrors(workspace, "first/x", ["tensorboard"])
    assert mirror.wait(120) == 0
    assert (run.mirror / "tensorboard").is_dir()
    assert trap.marks() == []


def test_the_processes_of_a_true_worker_take_no_code_from_a_run(trap, tmp_path, every_path):
    data, model = save_reviews(tmp_path / "rows.jsonl", 60), save_model("bert", tmp_path / "model")
    short = {"max_steps": 1, "eval_every": 1}
    run = make_run(tmp_path / "runs/first/x", run_spec(model, data, device="cpu", search=short, retrain=short))
    trap(run.path)
    two = Place(1, (Gpu("GPU-a"), Gpu("GPU-b", index=1)))
    assert start_supervisor(run, two, "cpu", ()).wait(240) == 0, run.log.read_text()
    assert trap.marks() == []


def test_sites_and_exports_take_no_code_from_the_folder_that_they_are_called_in(
    trap, tmp_path, monkeypatch, every_path
):
    trap(tmp_path)
    RunDir(tmp_path / "x").create(SPEC)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(S3Error, match="there is no model folder"):
        examine("./none", [])
    with pytest.raises(S3Error, match=r"not finished|has no|is missing|cannot be read"):
        export("x", "delta", Path("out"), None, None, as_json=False)
    assert trap.marks() == []


def test_absolute_entries_of_pythonpath_stay_and_others_go():
    told = child.safe({"PYTHONPATH": ":/a::b:./c:/d/../e:", "HOME": "/h"})
    assert told == {"PYTHONPATH": "/a:/d/../e", "HOME": "/h", "PYTHONSAFEPATH": "1"}
    assert "PYTHONPATH" not in child.safe({"PYTHONPATH": ":."})


def test_nothing_is_started_in_any_other_way():
    """Each call that starts a process has our surroundings, but for the shell that a person asks for in the app."""
    calls = []
    for file in Path(s3tui.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
                last = ast.unparse(node.keywords[-1].value) if node.keywords else ""
                calls.append((file.name, last.partition("(")[0]))
    others = [name for name, last in calls if last != "surroundings"]
    assert len(calls) > 6
    assert others == ["run_actions.py"]
    assert os.access(child.FOLDER, os.R_OK)

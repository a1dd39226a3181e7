"""What experiment trackers are told of runs, and that none of them is ever a reason for a run to fail."""

import json
import os
import subprocess
import sys
import time

import pytest
from processes import DEADLINE

from core.run.events import Eval, EventWriter, Finished, Gates, Phase, Space, Started, Step, StructureChosen
from core.run.rundir import RunDir
from s3tui.suite.load import load
from s3tui.text.problems import ConfigError
from s3tui.tracking.scalars import EventRecords, Histogram, Scalars

CANDIDATES = [
    {"site": "attn.q", "stack": "encoder", "layer": i, "module": f"m{i}", "delta": "lora(rank=1)", "parameters": 768}
    for i in (0, 1)
]
P = [[0.5, 0.5], [0.25, 0.75]]
LOSSES = [2.0, 1.5]


def started(attempt=1, phase="", step=0):
    return Started("0", attempt, 1, "cpu", "fp32", {}, phase, step)


def searched(step):
    return Step("search", step, LOSSES[step - 1], 1.0, 1e-3, validation_loss=1.0, expected=800.0, selected=768)


HISTORY = [
    started(), Space(CANDIDATES, 1536, 10_000, 0, 800), Phase("search", 2),
    searched(1), Gates(1, P[0]), searched(2), Gates(2, P[1]), Eval("search", 2, "validation", {"accuracy": 0.5}, True),
    StructureChosen([1], 768), Phase("retrain", 1), Step("retrain", 1, 0.75, 1.0, 1e-3),
    Eval("test", 1, "test", {"accuracy": 0.625}, True), Finished(0.625, {"accuracy": 0.625}, 1.0),
]  # fmt: skip


@pytest.fixture
def told(tmp_path):
    """Write the events of a run; gives its directory."""

    def write(events=HISTORY):
        directory = RunDir(tmp_path / "runs/first/x")
        if not directory.exists():
            directory.create({"model": "m", "seed": 3, "search": {"max_steps": 2}})
        clock = iter(range(1000, 2000))
        writer = EventWriter(directory.events, clock=lambda: float(next(clock)))
        for event in events:
            writer.write(event)
        writer.close()
        return directory

    return write


@pytest.fixture
def mirror(s3tui):
    """Mirror the run by the command: exit code and what it said."""

    def command(*trackers, **environment):
        to = [word for tracker in trackers for word in ("--to", tracker)]
        code, _, err = s3tui("mirror", "x", *to, "--in", "runs", **environment)
        return code, err

    return command


def tensorboard(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(directory.mirror / "tensorboard"), {"tensors": 0, "scalars": 0, "images": 0})
    return found.Reload()


def mlflow_run(directory, monkeypatch):
    """The client and the one run of the file store."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient((directory.path.parents[1] / ".mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("first").experiment_id])
    return client, run


def stub(folder, name, text):
    """A package of a tracker's name that does as the text says."""
    (folder / "stubs" / name).mkdir(parents=True)
    (folder / "stubs" / name / "__init__.py").write_text(text)
    return str(folder / "stubs")


def test_tensorboard_shows_a_finished_run_as_it_was_told(told, mirror):
    directory = told()
    assert mirror("tensorboard")[0] == 0
    found = tensorboard(directory)
    losses = [(e.step, e.value, e.wall_time) for e in found.Scalars("search/train_loss")]
    assert losses == [(1, 2.0, 1003.0), (2, 1.5, 1005.0)]
    assert [e.value for e in found.Scalars("search/budget")] == [800.0, 800.0]
    assert [e.value for e in found.Scalars("search/validation_accuracy")] == [0.5]
    assert [(e.step, e.value) for e in found.Scalars("test/accuracy")] == [(1, 0.625)]
    gates = [e.tensor_proto for e in found.Tensors("search/gates")]
    from tensorboard.util.tensor_util import make_ndarray

    last = make_ndarray(gates[-1])
    assert (last[0, 0], last[-1, 1], last[:, 2].sum()) == (0.25, 0.75, 2)
    (picture,) = found.Images("search/structure")
    assert picture.encoded_image_string.startswith(b"\x89PNG")


def test_mlflow_shows_a_finished_run_as_it_was_told(told, mirror, monkeypatch):
    directory = told()
    assert mirror("mlflow")[0] == 0
    client, run = mlflow_run(directory, monkeypatch)
    losses = client.get_metric_history(run.info.run_id, "search/train_loss")
    assert [(m.step, m.value, m.timestamp) for m in losses] == [(1, 2.0, 1_003_000), (2, 1.5, 1_005_000)]
    assert run.data.metrics["test/accuracy"] == 0.625
    # Keys that this run was written without.
    later = {"step_scale": "shared", "exportable": "any", "on_long_rows": "error", "prompt": "paper", "shots": "0"}
    later |= {"head": "False", "trust_remote_code": "False"}
    assert run.data.params == {"model": "m", "seed": "3", "search.max_steps": "2"} | later
    assert (run.info.run_name, run.info.status) == ("x", "FINISHED")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "search")] == ["search/structure.png"]


def test_what_a_tracker_knows_is_not_told_again(told, mirror, monkeypatch):
    directory = told(HISTORY[:5])
    assert mirror("tensorboard", "mlflow")[0] == 0
    assert mlflow_run(directory, monkeypatch)[1].info.status == "FAILED"  # nobody works on it, and it has no result
    told(HISTORY[5:])
    for _ in range(2):
        assert mirror("tensorboard", "mlflow")[0] == 0
    assert [e.value for e in tensorboard(directory).Scalars("search/train_loss")] == LOSSES
    client, run = mlflow_run(directory, monkeypatch)
    assert [m.value for m in client.get_metric_history(run.info.run_id, "search/train_loss")] == LOSSES
    assert run.info.status == "FINISHED"


def test_a_resumed_attempt_tells_no_step_twice():
    resumed = [started(2, "search", 1), Phase("search", 2), searched(2), Gates(2, P[1])]
    converter = EventRecords()
    records = [r for event in (*HISTORY[:7], *resumed, *HISTORY[7:]) for r in converter.of(event)]
    steps = [r.step for r in records if isinstance(r, Scalars) and "search/train_loss" in r.values]
    assert steps == [1, 2]
    assert [r.step for r in records if isinstance(r, Histogram)] == [1, 2]


def test_a_loss_that_is_no_number_is_left_out():
    (record,) = EventRecords().of(Step("retrain", 1, float("nan"), 1.0, 1e-3))
    assert set(record.values) == {"retrain/gradient_norm", "retrain/learning_rate"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ModuleNotFoundError('no wandb', name='wandb')", "wandb is not installed, pip install 's3tui[wandb]'"),
        ("raise RuntimeError('the key has\\nexpired')", "RuntimeError: the key has expired"),
    ],
)
def test_a_tracker_that_is_missing_or_fails_is_left_out_and_the_other_told(told, mirror, tmp_path, text, said):
    directory = told()
    code, err = mirror("wandb", "tensorboard", PYTHONPATH=stub(tmp_path, "wandb", text))
    assert code == 1
    assert f"s3tui mirror: wandb is left out: {said}; `s3tui mirror first/x --to wandb`" in err
    assert tensorboard(directory).Scalars("search/train_loss")


def test_a_server_that_is_away_is_left_out(told, mirror):
    told()
    code, err = mirror("mlflow", MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert code == 1
    assert "mlflow is left out" in err


def test_a_tracker_that_hangs_is_left_out(told, tmp_path):
    told()
    script = (
        "import sys\nfrom pathlib import Path\nfrom s3tui.tracking.follow import mirror\n"
        "from s3tui.runs.workspace import Workspace\n"
        "sys.exit(mirror(Workspace(Path('runs')), 'first/x', 'wandb', 0.5, lambda text: print(text, flush=True)))"
    )
    hangs = stub(tmp_path, "wandb", "import threading\nthreading.Event().wait()")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": hangs}, capture_output=True,
        text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("wandb is left out: it has not responded for 0.5 seconds")


def test_a_suite_tells_its_trackers_and_succeeds_without_one(run, workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", stub(tmp_path, "wandb", "raise ModuleNotFoundError('', name='wandb')"))
    code, _, err = run('[experiment.a]\nlog_to = ["tensorboard", "wandb"]\n')
    assert code == 0, err
    directory = workspace.run("first/a")
    wait_for_all_steps(directory)
    assert [e.step for e in tensorboard(directory).Scalars("retrain/train_loss")] == list(range(1, 41))
    deadline = time.monotonic() + DEADLINE
    while "left out" not in directory.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert directory.log.read_text().count("wandb is left out") == 1


def wait_for_all_steps(directory):
    """The mirror may end a moment after the run."""
    last = json.loads(directory.events.read_text().splitlines()[-1])["seq"]
    place = directory.mirror / "tensorboard.json"
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if place.exists() and json.loads(place.read_text())["seq"] == last:
            return
        time.sleep(0.02)
    raise AssertionError("it was not told in time")


def test_trackers_do_not_define_the_run(suite):
    with_one = load(suite('[experiment.a]\nlog_to = "mlflow"\n')).runs[0]
    without = load(suite("[experiment.a]\n")).runs[0]
    assert with_one.queue.log_to == ("mlflow",)
    assert with_one.spec.digest() == without.spec.digest()


def test_an_unknown_tracker_is_told_with_the_nearest(suite):
    with pytest.raises(
        ConfigError, match=r"experiment\.a\.log_to\[0\]: no tracker is called 'tensorbord', did you mean"
    ):
        load(suite('[experiment.a]\nlog_to = ["tensorbord"]\n'))


def test_tensorboard_is_written_without_torch():
    script = "import sys, s3tui.tracking.follow, s3tui.tracking.backends.tensorboard; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert not {name.partition(".")[0] for name in done.stdout.split()} & {"torch", "tensorflow", "matplotlib"}


def test_wandb_offline_keeps_the_run_in_files(told, mirror, tmp_path):
    pytest.importorskip("wandb")
    directory = told()
    code, err = mirror("wandb", WANDB_MODE="offline", HOME=str(tmp_path))
    assert code == 0, err
    (written,) = directory.mirror.glob("wandb/wandb/offline-run-*/run-*.wandb")
    assert b"search/train_loss" in written.read_bytes()


def test_trackio_keeps_the_run_in_its_database(told, mirror, tmp_path):
    pytest.importorskip("trackio")
    told()
    code, err = mirror("trackio", TRACKIO_DIR=str(tmp_path / "trackio"), HOME=str(tmp_path))
    assert code == 0, err
    assert list((tmp_path / "trackio").glob("first*.db"))

"""The energy of a run, where NVML counts it; nothing is known where it does not."""

import pytest

from core.run.rundir import RunDir, read_json, write_json
from s3tui.devices.energy import gpu_joules, used_since
from s3tui.runs.records.process import read_exit


@pytest.mark.parametrize("visible", ["", "0,1", "GPU-of-another-machine", "997"])
def test_nothing_is_known_without_one_gpu_that_the_driver_knows(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_joules() is None
    assert used_since(None) is None
    assert used_since(1.0) is None


def test_the_end_of_a_run_tells_its_energy_and_an_older_one_that_it_is_not_known(run, tmp_path):
    assert run("[experiment.a]\n")[0] == 0
    directory = RunDir(tmp_path / "runs/first/a")
    told = read_json(directory.exit)
    write_json(directory.exit, told | {"gpu_joules": 3600.0})
    assert read_exit(directory).gpu_joules == 3600.0
    write_json(directory.exit, {key: value for key, value in told.items() if key != "gpu_joules"})
    assert read_exit(directory).gpu_joules is None

import json
import subprocess
import sys

import pytest
from processes import DEADLINE, SUITE
from stand_in import STRUCTURE

HEAVY = {"submitit", "torch", "transformers", "datasets", "textual", "numpy", "sklearn", "scipy", "pynvml"}

SCRIPT = """
import sys
from s3tui.cli.main import main
sys.argv = ["s3tui", *sys.argv[1:]]
try:
    main()
finally:
    sys.stderr.write("modules: " + " ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def modules_of(*arguments, cwd=None):
    """The top-level modules that a fresh interpreter has loaded once the command has run."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE
    )
    return set(done.stderr.partition("modules: ")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",)])
def test_help_loads_next_to_nothing(arguments):
    loaded = modules_of(*arguments)
    assert "typer" in loaded
    assert not loaded & (HEAVY | {"rich", "pydantic", "tomli", "asyncio"})


def test_validate_loads_what_reads_settings_and_nothing_that_draws(tmp_path):
    (tmp_path / "s.toml").write_text(SUITE + "[experiment.a]\n")
    loaded = modules_of("validate", "s.toml", cwd=tmp_path)
    assert "pydantic" in loaded
    assert not loaded & (HEAVY | {"rich"})


def test_results_of_a_folder_read_no_settings(tmp_path):
    loaded = modules_of("results", str(tmp_path), "--json")
    assert "s3tui" in loaded
    assert not loaded & (HEAVY | {"pydantic", "tomli"})


def test_doctor_loads_nothing_heavy(tmp_path):
    loaded = modules_of("doctor", cwd=tmp_path)
    assert not loaded & ((HEAVY - {"pynvml"}) | {"rich", "pydantic"})


@pytest.mark.parametrize(
    "arguments", ["status", "list", "list --group method", "list --csv", "path x", "show x", "logs x", "events x"]
)
def test_looking_at_runs_loads_neither_settings_nor_what_draws(tmp_path, arguments):
    run = tmp_path / "runs/first/x"
    run.mkdir(parents=True)
    (run / "spec.json").write_text("{}")
    loaded = modules_of(*arguments.split(), "--in", str(tmp_path / "runs"))
    assert "s3tui" in loaded
    assert not loaded & (HEAVY | {"pydantic", "rich", "tomli", "asyncio"})


@pytest.mark.parametrize("arguments", ["show x", "diff x x", "random --like x"])
def test_structures_are_looked_at_without_settings_numpy_or_what_draws(tmp_path, arguments):
    run = tmp_path / "runs/first/x"
    run.mkdir(parents=True)
    (run / "spec.json").write_text("{}")
    (run / "structure.json").write_text(json.dumps(STRUCTURE.to_json()))
    loaded = modules_of("structure", *arguments.split(), "--in", str(tmp_path / "runs"))
    assert "core" in loaded
    assert not loaded & (HEAVY | {"pydantic", "rich", "tomli", "asyncio", "matplotlib"})


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("status", "--in", "."), ("list", "--in", ".")])
def test_no_launcher_is_loaded_where_no_run_has_a_job(tmp_path, arguments):
    run = tmp_path / "first/x"
    run.mkdir(parents=True)
    (run / "spec.json").write_text("{}")
    script = SCRIPT.replace('name.partition(".")[0] for name', "name for name")
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE
    )
    loaded = set(done.stderr.partition("modules: ")[2].split())
    assert "s3tui.cli.main" in loaded
    assert not [name for name in loaded if name.startswith(("s3tui.launchers.slurm", "s3tui.launchers.local"))]


def test_a_supervisor_loads_little():
    script = "import sys, s3tui.launchers.supervisor; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & (HEAVY | {"typer", "pydantic", "rich", "tomli", "asyncio", "subprocess"})

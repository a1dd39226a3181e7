"""What is known of a cluster is known in its launcher alone."""

import re
from pathlib import Path

import pytest

import s3tui


@pytest.mark.parametrize("package", ["runs", "scheduling", "listing", "tui", "cli", "suite", "results", "tracking"])
def test_no_other_package_names_a_kind_of_cluster(package):
    folder = Path(s3tui.__file__).parent / package
    files = [path for path in folder.rglob("*") if path.suffix in (".py", ".tcss")]
    assert files
    named = re.compile("slurm|sbatch|squeue|scontrol|scancel|submitit", re.IGNORECASE)
    assert [path for path in files if named.search(path.read_text())] == []


def test_of_the_launchers_only_the_table_names_one_beside_its_own_folder():
    folder = Path(s3tui.__file__).parent / "launchers"
    named = re.compile("slurm", re.IGNORECASE)
    assert [path.name for path in folder.glob("*.py") if named.search(path.read_text())] == ["registry.py"]

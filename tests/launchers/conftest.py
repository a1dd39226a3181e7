"""One real Slurm for all tests of this folder, in one process of the test run; without Slurm they are skipped."""

import os

import pytest
from cluster import Cluster


def started(tmp_path_factory):
    """A cluster. A port may be taken in the moment before it is used, so once is not enough."""
    for attempt in range(3):
        there = Cluster(tmp_path_factory.mktemp("slurm"))
        try:
            there.start()
            return there
        except RuntimeError as error:
            there.stop()
            reason = f"attempt {attempt + 1}: {error}"
            if "not installed" in reason:
                break
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    before = os.environ.get("SLURM_CONF")
    try:
        there = started(tmp_path_factory)
        yield there
        there.stop()
    finally:
        os.environ.pop("SLURM_CONF", None) if before is None else os.environ.update(SLURM_CONF=before)

"""Set before anything imports torch: on shared cores, more threads than cores are several times slower."""

import os
import profile  # noqa: F401  the standard library's, before pytest puts tests/fuzz with its own on the path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The colours of a terminal that runs the tests are not those of the commands under test.
os.environ.pop("NO_COLOR", None)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# How long an example takes says how busy the machine is.
settings.register_profile("s3tui", deadline=None)
settings.load_profile("s3tui")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tests neither see nor fill the cache of whoever runs them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """All tests of the cluster go to one process, so that there is one cluster.

    The mark `xdist_group` would say so, but xdist 3.8 writes it into the ids of tests, and pytest 9.2 does not let it.
    """
    from xdist.scheduler import LoadGroupScheduling

    class OneCluster(LoadGroupScheduling):
        def _split_scope(self, nodeid):
            return "slurm" if nodeid.startswith("tests/slurm/") else nodeid

    return OneCluster(config, log) if config.getvalue("dist") == "loadgroup" else None

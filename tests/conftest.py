"""Set before anything imports torch: on shared cores, more threads than cores are several times slower."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The colours of a terminal that runs the tests are not those of the commands under test.
os.environ.pop("NO_COLOR", None)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# How long an example takes says how busy the machine is.
settings.register_profile("s3tui", deadline=None)
settings.load_profile("s3tui")

"""Set before anything imports torch: on shared cores, more threads than cores are several times slower."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The colours of a terminal that runs the tests are not those of the commands under test.
os.environ.pop("NO_COLOR", None)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

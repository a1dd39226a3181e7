"""The task of a job array under the name by which batch scripts of version 0.1 call it."""

from __future__ import annotations

import sys

from s3tui.launchers.slurm.array_task import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

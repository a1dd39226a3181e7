"""`python -m core [--processes N] RUN_DIR`: execute one run without a terminal. Exit codes: see `core.run.errors`.

With N processes, each computes its part of every batch, on a GPU of its own if there are GPUs.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from core.run.errors import S3Error
from core.run.rundir import RunDir


def main(arguments: list[str]) -> int:
    """Execute the run that `arguments` name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m core", description="Execute a run, or resume it.")
    parser.add_argument("--processes", type=int, default=1, help="number of processes that share each batch")
    parser.add_argument("run", metavar="RUN_DIR", type=Path)
    options = parser.parse_args(arguments)
    if options.processes < 1:
        parser.error("--processes must be 1 or more")
    # Imports create a million objects and hardly any garbage; collecting meanwhile takes a seventh of the start time.
    # Collection is enabled when everything is loaded, see core.worker.pipeline.
    gc.disable()
    from core.worker.execute import execute

    _import_models()
    try:
        return execute(RunDir(options.run.resolve()), options.processes)
    except S3Error as error:
        print(f"core: {error}", file=sys.stderr)
        return error.exit_code


def _import_models() -> None:
    """Import what every transformers model needs, but not scipy, which only losses of object detection need.

    scipy alone takes a fifteenth of the start time; metrics, which need it, are imported at the first evaluation.
    """
    from transformers import utils

    known = utils.is_scipy_available
    utils.is_scipy_available = lambda: False
    try:
        import transformers.modeling_utils  # noqa: F401
    finally:
        utils.is_scipy_available = known


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

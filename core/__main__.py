"""`python -m core [--processes N] RUN_DIR`: one whole run, headless. Exit codes are those of `core.run.errors`.

With N processes, each computes its part of every batch, on a GPU of its own where there are GPUs.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from core.run.errors import S3Error
from core.run.rundir import RunDir


def main(arguments: list[str]) -> int:
    """Do the run that `arguments` name."""
    parser = argparse.ArgumentParser(prog="python -m core", description="Do a run, or what is left of it.")
    parser.add_argument("--processes", type=int, default=1, help="how many processes share each batch")
    parser.add_argument("run", metavar="RUN_DIR", type=Path)
    options = parser.parse_args(arguments)
    if options.processes < 1:
        parser.error("--processes is 1 or more")
    # Imports leave a million objects and hardly any garbage; to look for it again and again takes a seventh of the
    # start. Collecting begins when everything is loaded, see core.worker.pipeline.
    gc.disable()
    from core.worker.execute import execute

    _import_models()
    try:
        return execute(RunDir(options.run.resolve()), options.processes)
    except S3Error as error:
        print(f"core: {error}", file=sys.stderr)
        return error.exit_code


def _import_models() -> None:
    """Import what every model of transformers needs, but not scipy for the losses of object detection.

    That alone takes a fifteenth of the start; metrics, which do need scipy, come with the first evaluation.
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

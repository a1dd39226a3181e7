"""The life of a worker: read the settings, do the run, and say how it ended, whatever happens."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Any, NoReturn

import torch
from pydantic import ValidationError

from core.run.errors import EXIT_FAILED, EXIT_OK, RunDirError, S3Error
from core.run.events import Failed, Finished
from core.run.rundir import RunDir, read_json
from core.run.spec import RunSpec
from core.search.pipeline import about, run_all
from core.search.reporter import Reporter


class StoppedError(S3Error):
    """The worker was asked to stop."""

    kind = "stopped"


def execute(run: RunDir) -> int:
    """Do the run of a directory; gives the exit code. The last event is `finished` or `failed`."""
    spec = read_spec(run)
    reporter = Reporter(run, about(spec))
    signal.signal(signal.SIGTERM, _stop)
    try:
        metrics = run_all(run, spec, reporter)
    except S3Error as error:
        print(f"{error.kind}: {error}", file=sys.stderr)
        _close(reporter, Failed(error.kind, error.message, error.hint))
        return error.exit_code
    except BaseException as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}".split("\n")[0]
        _close(reporter, Failed(_kind(error), message, f"the traceback is in {run.log}"))
        return EXIT_FAILED
    score = next(iter(metrics.values()))
    reporter.close(Finished(score, metrics, reporter.seconds), status="finished", score=score)
    return EXIT_OK


def read_spec(run: RunDir) -> RunSpec:
    """The settings of a run; raises RunDirError where they are missing or damaged."""
    data = read_json(run.spec)
    try:
        return RunSpec.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunDirError(f"{run.spec} is damaged", f"{where}: {first['msg']}") from None


def _close(reporter: Reporter, failed: Failed) -> None:
    reporter.close(failed, status="failed", error=failed.message)


def _kind(error: BaseException) -> str:
    return "out-of-memory" if isinstance(error, (torch.OutOfMemoryError, MemoryError)) else "crash"


def _stop(signum: int, frame: Any) -> NoReturn:
    raise StoppedError("stopped by a signal", "run it again to do it over")

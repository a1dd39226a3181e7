"""The main function of a worker: reads the settings, executes the run, and always reports how it ended."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from core.run.errors import EXIT_FAILED, EXIT_OK, DiskError, RunDirError, S3Error
from core.run.events import Failed, Finished, score_of
from core.run.foreign import is_out_of_memory
from core.run.rundir import RunDir, read_json, read_record, remove_leftovers
from core.run.spec import RunSpec
from core.runtime import process_group
from core.runtime.checkpoint import Checkpoints
from core.runtime.checkpointer import Checkpointer
from core.runtime.heartbeat import beating
from core.runtime.log import log_line
from core.runtime.reporter import Reporter, SilentReporter
from core.runtime.spawn import worker_processes
from core.runtime.stop_signal import Stop
from core.worker.pipeline import about, run_all

LONGEST_MESSAGE = 2000  # characters of an unexpected error; its traceback is in the log


def execute(run: RunDir, processes: int = 1) -> int:
    """Execute or resume the run of a directory with this number of processes; returns the exit code.

    The last event is `finished` or `failed`. A run that already has a result is not repeated.
    """
    stop = Stop()
    stop.listen()
    spec = read_spec(run)
    if result := _result_of(run, spec):
        return _finished_before(run, spec, result)
    with worker_processes(processes, spec.device, partial(_follow, run, spec)):
        return _lead(run, spec, stop)


def _lead(run: RunDir, spec: RunSpec, stop: Stop) -> int:
    """Execute the run as rank 0, which alone writes files."""
    checkpoints = Checkpoints(run.checkpoint, spec.digest())
    resumed = checkpoints.latest()
    reporter = Reporter(run, about(spec), resumed is not None)
    remove_leftovers(run.search, run.searched, run.structure, run.delta, run.predictions, run.result, run.summary)
    checkpointer = Checkpointer(checkpoints, resumed, spec.checkpoint_every, stop, reporter)
    with beating(run.heartbeat):
        return _attempt(run, spec, checkpointer, reporter)


def _follow(run: RunDir, spec: RunSpec) -> int:
    """Execute the run as another rank; errors that end all processes are reported by rank 0."""
    resumed, reporter = Checkpoints(run.checkpoint, spec.digest()).latest(), SilentReporter()
    checkpointer = Checkpointer(
        Checkpoints(run.checkpoint, spec.digest()), resumed, spec.checkpoint_every, Stop(), reporter
    )
    try:
        run_all(run, spec, checkpointer, reporter)
        return EXIT_OK
    except S3Error:
        return EXIT_OK
    except BaseException:
        log_line(f"process {process_group.rank()}: {traceback.format_exc()}")
        return EXIT_FAILED


def _attempt(run: RunDir, spec: RunSpec, checkpointer: Checkpointer, reporter: Reporter) -> int:
    """Execute the run and report its end, also after an unexpected error."""
    try:
        metrics = run_all(run, spec, checkpointer, reporter)
        score = score_of(metrics)
        reporter.close(Finished(score, metrics, reporter.seconds), status="finished", score=score)
        return EXIT_OK
    except S3Error as error:
        checkpointer.stop.wait_for_steps()
        log_line(f"{error.kind}: {error}")
        _close(reporter, Failed(error.kind, error.message, error.hint))
        return error.exit_code
    except BaseException as error:
        checkpointer.stop.wait_for_steps()
        log_line(traceback.format_exc())
        message = f"{type(error).__name__}: {error}".split("\n")[0][:LONGEST_MESSAGE]
        _close(reporter, Failed(_kind(error), message, f"the traceback is in {run.log}"))
        return EXIT_FAILED


@dataclass(frozen=True)
class _Result:
    """The fields of a result that are needed to repeat its last event."""

    spec: str
    score: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class _Status:
    """The status in a summary."""

    status: str


def _result_of(run: RunDir, spec: RunSpec) -> _Result | None:
    """The result of a finished run; None if there is none, or it is damaged or of other settings."""
    if not run.result.exists():
        return None
    try:
        result = read_record(run.result, _Result)
    except RunDirError as error:
        log_line(f"the result is ignored: {error}")
        return None
    return result if result.spec == spec.digest() else None


def _finished_before(run: RunDir, spec: RunSpec, result: _Result) -> int:
    """Log that nothing is left to do; write the last event if a kill came between the result and that event."""
    log_line(f"{run.path} is finished, its score is {result.score}: there is nothing to do")
    try:
        is_reported = read_record(run.summary, _Status).status == "finished"
    except RunDirError:
        is_reported = False
    if not is_reported:
        finished = Finished(result.score, result.metrics, 0.0)
        Reporter(run, about(spec), resumed=True).close(finished, status="finished", score=result.score)
    return EXIT_OK


def read_spec(run: RunDir) -> RunSpec:
    """The settings of a run; raises RunDirError if they are missing or damaged."""
    data = read_json(run.spec)
    try:
        return RunSpec.of_file(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunDirError(f"{run.spec} is damaged", f"{where}: {first['msg']}") from None


def _close(reporter: Reporter, failed: Failed) -> None:
    try:
        reporter.close(failed, status="failed", error=failed.message)
    except DiskError as error:
        log_line(f"disk: {error}")


def _kind(error: BaseException) -> str:
    return "out-of-memory" if is_out_of_memory(error) else "crash"

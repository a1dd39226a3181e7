"""The life of a worker: read the settings, do the run, and say how it ended, whatever happens."""

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
from core.runtime.checkpointer import Keeper
from core.runtime.heartbeat import beating
from core.runtime.log import tell
from core.runtime.reporter import Mute, Reporter
from core.runtime.spawn import team
from core.runtime.stop_signal import Stop
from core.worker.pipeline import about, run_all

LONGEST_MESSAGE = 2000  # characters of an error that nobody foresaw; its traceback is in the log


def execute(run: RunDir, processes: int = 1) -> int:
    """Do the run of a directory, or what is left of it, in so many processes; gives the exit code.

    The last event is `finished` or `failed`. A run that has its result is not repeated.
    """
    stop = Stop()
    stop.listen()
    spec = read_spec(run)
    if result := _result_of(run, spec):
        return _finished_before(run, spec, result)
    with team(processes, spec.device, partial(_follow, run, spec)):
        return _lead(run, spec, stop)


def _lead(run: RunDir, spec: RunSpec, stop: Stop) -> int:
    """Do the run as the first process, which alone writes."""
    checkpoints = Checkpoints(run.checkpoint, spec.digest())
    resumed = checkpoints.latest()
    reporter = Reporter(run, about(spec), resumed is not None)
    remove_leftovers(run.structure, run.delta, run.result, run.summary)
    keeper = Keeper(checkpoints, resumed, spec.checkpoint_every, stop, reporter)
    with beating(run.heartbeat):
        return _attempt(run, spec, keeper, reporter)


def _follow(run: RunDir, spec: RunSpec) -> int:
    """Do the part of another process; what ends all of them is told by the first."""
    resumed, reporter = Checkpoints(run.checkpoint, spec.digest()).latest(), Mute()
    keeper = Keeper(Checkpoints(run.checkpoint, spec.digest()), resumed, spec.checkpoint_every, Stop(), reporter)
    try:
        run_all(run, spec, keeper, reporter)
        return EXIT_OK
    except S3Error:
        return EXIT_OK
    except BaseException:
        tell(f"process {process_group.rank()}: {traceback.format_exc()}")
        return EXIT_FAILED


def _attempt(run: RunDir, spec: RunSpec, keeper: Keeper, reporter: Reporter) -> int:
    """Work on the run and say how that ended, whatever happens."""
    try:
        metrics = run_all(run, spec, keeper, reporter)
        score = score_of(metrics)
        reporter.close(Finished(score, metrics, reporter.seconds), status="finished", score=score)
        return EXIT_OK
    except S3Error as error:
        keeper.stop.wait_for_steps()
        tell(f"{error.kind}: {error}")
        _close(reporter, Failed(error.kind, error.message, error.hint))
        return error.exit_code
    except BaseException as error:
        keeper.stop.wait_for_steps()
        tell(traceback.format_exc())
        message = f"{type(error).__name__}: {error}".split("\n")[0][:LONGEST_MESSAGE]
        _close(reporter, Failed(_kind(error), message, f"the traceback is in {run.log}"))
        return EXIT_FAILED


@dataclass(frozen=True)
class _Result:
    """What of a result is told once more."""

    spec: str
    score: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class _Status:
    """What a summary says last."""

    status: str


def _result_of(run: RunDir, spec: RunSpec) -> _Result | None:
    """The result of a run that is done; None where it is not, or the result is damaged or of other settings."""
    if not run.result.exists():
        return None
    try:
        result = read_record(run.result, _Result)
    except RunDirError as error:
        tell(f"the result is passed over: {error}")
        return None
    return result if result.spec == spec.digest() else None


def _finished_before(run: RunDir, spec: RunSpec, result: _Result) -> int:
    """Say that nothing is left to do; tell of the end where a kill came between the result and the last event."""
    tell(f"{run.path} is finished, its score is {result.score}: there is nothing to do")
    try:
        told = read_record(run.summary, _Status).status == "finished"
    except RunDirError:
        told = False
    if not told:
        finished = Finished(result.score, result.metrics, 0.0)
        Reporter(run, about(spec), resumed=True).close(finished, status="finished", score=result.score)
    return EXIT_OK


def read_spec(run: RunDir) -> RunSpec:
    """The settings of a run; raises RunDirError where they are missing or damaged."""
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
        tell(f"disk: {error}")


def _kind(error: BaseException) -> str:
    return "out-of-memory" if is_out_of_memory(error) else "crash"

"""The supervisor of one run: starts its worker, outlives its starter, and records how the worker ended.

    python -m s3tui.launchers.supervisor RUN_DIR WHERE GRACE COMMAND...

WHERE says in words what the run has been given. The locks of the run and of its device are on open files that are
inherited, so they hold for as long as the supervisor or the worker lives. SIGTERM asks the worker to leave a
checkpoint and ends it after GRACE seconds, SIGINT ends it at once. Whatever the worker has started ends with it.

A job on a cluster is a supervisor too. There SIGUSR2 asks for a checkpoint as well, and SIGUSR1 is the warning that
the time of the job is nearly over and the run is to go on in another. Some clusters send SIGTERM to the worker too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from core.run.rundir import RunDir, write_json
from s3tui.devices.energy import gpu_joules, used_since
from s3tui.system.oom_kills import kernel_kills
from s3tui.system.process_identity import Identity, identity_of, this_host

CANNOT_START = 127
ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # for a checkpoint
HEARD = (*ASKING, signal.SIGINT)
_SET_CHILD_SUBREAPER = 36  # of prctl: what loses its parent becomes ours, also where it made a session of its own


class Supervisor:
    """One worker from its start to its end; `job` is the id of the job on a cluster that it is, empty where it is none.

    `term_is_shared`: SIGTERM comes from a cluster that sends it to the worker too.
    """

    def __init__(self, run: RunDir, where: str, grace: float, job: str = "", term_is_shared: bool = False) -> None:
        self.run, self.where, self.grace, self.job = run, where, grace, job
        self.term_is_shared = term_is_shared
        self.worker = 0
        self.asked = ""  # what the worker was asked to end for: "stop", "kill", or by a cluster "requeue"
        self._saved_before = _changed(run.checkpoint)

    def start(self, command: list[str]) -> Identity:
        """Start the worker, which does nothing before `process.json` identifies it."""
        go, release = os.pipe()
        self.worker = os.fork()
        if self.worker == 0:
            os.close(release)
            _become(command, go)
        os.close(go)
        # Signals are handled from here on, now that there is a worker to pass them to.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        worker, own = identity_of(self.worker), identity_of(os.getpid())
        assert worker is not None
        assert own is not None
        write_json(
            self.run.process,
            {
                "v": 1, "host": this_host(), "worker": vars(worker), "supervisor": vars(own), "where": self.where,
                "started": time.time(), "grace": self.grace, "log_start": _size(self.run.log),
                "events_start": _size(self.run.events), "job": self.job,
            },
        )  # fmt: skip
        os.write(release, b"x")
        os.close(release)
        return worker

    def wait(self) -> tuple[int, resource.struct_rusage]:
        """Wait for the worker, and end what it leaves behind; gives its wait status and what it used."""
        while (ended := _next_to_end()) != self.worker:
            os.waitpid(ended, 0)  # an orphan, which is ours to reap
        for number in (*HEARD, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        # The worker is not reaped yet, so its number still means it and its group.
        self._kill_group()
        _, status, usage = os.wait4(self.worker, 0)
        _end_descendants()
        return status, usage

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Ask the worker to end, and kill it once its time is over."""
        if self.asked:
            return  # a second request is none: the worker has its time
        self.asked = "requeue" if number == signal.SIGUSR1 else "stop"
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        if self.term_is_shared and number == signal.SIGTERM:
            return  # every process of the job has got it, and a worker takes a second one for the last
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.worker, signal.SIGTERM)

    def kill(self, number: int, frame: FrameType | None) -> None:
        """End the worker now, with the group that it leads."""
        self.asked = self.asked or "kill"
        self._kill_group()

    @property
    def has_saved(self) -> bool:
        """Whether the worker has written a checkpoint since it was started."""
        return _changed(self.run.checkpoint) != self._saved_before

    def _kill_group(self) -> None:
        for end in (os.kill, os.killpg):  # it may not lead a group yet
            with contextlib.suppress(ProcessLookupError):
                end(self.worker, signal.SIGKILL)


def _next_to_end() -> int:
    """Wait until any child has ended, and leave it to be reaped."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_pid


def _end_descendants() -> None:
    """Kill every process that descends from the worker, in whatever session, until none is left."""
    while True:
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children() -> list[int]:
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except FileNotFoundError:  # the kernel was built without it
        return [int(path.name) for path in Path("/proc").iterdir() if _parent(path) == os.getpid()]
    return [int(pid) for pid in text.split()]


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _become(command: list[str], go: int) -> None:
    """In the child: wait until the supervisor is ready, then become the worker; end if the supervisor dies first."""
    try:
        os.setsid()
        if os.read(go, 1) != b"x":
            os._exit(CANNOT_START)
        for number in (signal.SIGHUP, *HEARD, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(CANNOT_START)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _changed(folder: Path) -> int:
    """When a file of a folder was made, replaced or deleted last, in ns; 0 where there is no folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def how_it_ended(status: int, killed_by_kernel: bool) -> dict[str, Any]:
    """A wait status in words: an exit code, or the name of a signal."""
    if os.WIFEXITED(status):
        return {"code": os.WEXITSTATUS(status), "signal": None, "out_of_memory": False}
    number = os.WTERMSIG(status)
    names = {s.value: s.name for s in signal.Signals}
    return {
        "code": None,
        "signal": names.get(number, f"signal {number}"),
        "out_of_memory": killed_by_kernel and number == signal.SIGKILL,
    }


def supervise(supervisor: Supervisor, command: list[str]) -> int:
    """See a worker through to its end; gives its exit code where it had one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in ASKING if supervisor.job else (signal.SIGTERM,):
        signal.signal(number, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.kill)
    signal.signal(signal.SIGALRM, supervisor.kill)
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, began, joules = kernel_kills(), time.monotonic(), gpu_joules()
    worker = supervisor.start([*command, str(supervisor.run.path)])
    status, usage = supervisor.wait()
    killed_by_kernel = not supervisor.asked and kernel_kills() > before
    ending = how_it_ended(status, killed_by_kernel)
    if supervisor.asked == "requeue" and ending["code"] == 0:
        supervisor.asked = ""  # it was done in time
    if supervisor.asked == "requeue" and not supervisor.has_saved:
        supervisor.asked = "too slow"  # where no step fits into the time of a job, the next one would come no further
    more = {
        "asked": supervisor.asked, "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "peak_memory_bytes": usage.ru_maxrss * 1024,
        "gpu_joules": used_since(joules),
    }  # fmt: skip
    write_json(supervisor.run.exit, {"v": 1, "worker": vars(worker)} | ending | more | {"ended": time.time()})
    return CANNOT_START if ending["code"] is None else int(ending["code"])


def main(arguments: list[str]) -> int:
    """Supervise the run that the arguments name."""
    path, where, grace, *command = arguments
    return supervise(Supervisor(RunDir(Path(path)), where, float(grace)), command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Starts the other processes of a run that several share, and sees to it that none is left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import Any

import torch
from torch import distributed

from core.run.errors import EXIT_FAILED
from core.runtime.log import tell

PATIENCE = timedelta(minutes=10)  # of one process for the others, in one exchange
NOTICE_SECONDS = 30.0  # for the worker to notice by itself that another process is lost
_PR_SET_PDEATHSIG = 1


@contextmanager
def team(processes: int, device: str, follow: Callable[[], int]) -> Iterator[None]:
    """Be the first of so many processes; the others do `follow`, whose result is their exit code, and end with us.

    They are forked, so that what is imported is shared; nothing may have used threads or a GPU by then.
    """
    if processes == 1:
        yield
        return
    # All are on this machine, whose name need not lead anywhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory(prefix="s3tui-") as folder:
        meet = (f"{folder}/meeting", processes, device)
        others = [
            get_context("fork").Process(target=_be_other, args=(follow, number, os.getpid(), *meet))
            for number in range(1, processes)
        ]
        for other in others:
            other.start()
        leaving = threading.Event()
        threading.Thread(target=_watch, args=(others, leaving), name="team", daemon=True).start()
        try:
            _join(0, *meet)
            yield
        finally:  # what the others still do is of no use to anybody
            leaving.set()
            for other in others:
                other.kill()
                other.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _join(number: int, meeting: str, processes: int, device: str) -> None:
    """Meet the others; `device` is that of the run's settings."""
    with_gpus = device != "cpu" and torch.cuda.is_available()
    # Flags go through gloo also where tensors are on GPUs, so that these need not be waited for.
    backend = "cpu:gloo,cuda:nccl" if with_gpus else "gloo"
    store = distributed.FileStore(meeting, processes)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=store, rank=number, world_size=processes, timeout=PATIENCE)


def _be_other(follow: Callable[[], int], number: int, worker: int, *meet: Any) -> None:
    """In another process: do the part, and end with the worker, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker:
        os._exit(EXIT_FAILED)
    # The worker decides when to stop, and tells.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _join(number, *meet)
    code = follow()
    distributed.destroy_process_group()
    # Not sys.exit, which would run what the worker has left to do at its end.
    os._exit(code)


def _watch(others: list[Any], leaving: threading.Event) -> None:
    """Where one dies, give the worker its time to notice; it may wait in a GPU for what never comes."""
    living = list(others)
    while living and all(other.exitcode in (None, 0) for other in others):
        wait([other.sentinel for other in living])
        living = [other for other in living if other.exitcode is None]
    if not any(other.exitcode for other in others) or leaving.wait(NOTICE_SECONDS):
        return
    died = [f"process {i} (exit code {other.exitcode})" for i, other in enumerate(others, 1) if other.exitcode]
    tell(f"crash: the run cannot go on without {', '.join(died)}")
    for other in others:
        other.kill()
    os._exit(EXIT_FAILED)

"""Starts the further processes of a multi-process run, and kills them when the run ends."""

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
from core.runtime.log import log_line

EXCHANGE_TIMEOUT = timedelta(minutes=10)  # how long one process waits for the others in one exchange
NOTICE_SECONDS = 30.0  # how long the worker has to notice by itself that another process died
_PR_SET_PDEATHSIG = 1


@contextmanager
def worker_processes(processes: int, device: str, follow: Callable[[], int]) -> Iterator[None]:
    """Run the body as process 0 of a group of `processes`; each of the others runs `follow` and exits with its result.

    They are forked, so that imported modules are shared; no thread and no GPU may have been used before. They are
    killed when the body ends, and when this process dies.
    """
    if processes == 1:
        yield
        return
    # All processes are on this machine, whose host name need not resolve.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory(prefix="s3tui-") as folder:
        rendezvous = (f"{folder}/rendezvous", processes, device)
        others = [
            get_context("fork").Process(target=_run_other, args=(follow, rank, os.getpid(), *rendezvous))
            for rank in range(1, processes)
        ]
        for other in others:
            other.start()
        leaving = threading.Event()
        threading.Thread(target=_watch, args=(others, leaving), name="watch-processes", daemon=True).start()
        try:
            _join(0, *rendezvous)
            yield
        finally:  # results of the others are not needed any more
            leaving.set()
            for other in others:
                other.kill()
                other.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _join(rank: int, rendezvous: str, processes: int, device: str) -> None:
    """Join the default process group through a file; `device` is that of the run's settings."""
    with_gpus = device != "cpu" and torch.cuda.is_available()
    # Flags go through gloo even when tensors are on GPUs, so that exchanging one does not wait for a GPU.
    backend = "cpu:gloo,cuda:nccl" if with_gpus else "gloo"
    store = distributed.FileStore(rendezvous, processes)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=store, rank=rank, world_size=processes, timeout=EXCHANGE_TIMEOUT)


def _run_other(follow: Callable[[], int], rank: int, worker: int, *rendezvous: Any) -> None:
    """The main function of a process other than the first; it dies with the worker."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker:
        os._exit(EXIT_FAILED)
    # The worker alone reacts to signals; it makes the others stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _join(rank, *rendezvous)
    code = follow()
    distributed.destroy_process_group()
    # Not sys.exit, which would run the exit handlers that the worker had registered before the fork.
    os._exit(code)


def _watch(others: list[Any], leaving: threading.Event) -> None:
    """End the run if one of the others dies: the worker may be blocked in a GPU exchange that never completes."""
    living = list(others)
    while living and all(other.exitcode in (None, 0) for other in others):
        wait([other.sentinel for other in living])
        living = [other for other in living if other.exitcode is None]
    if not any(other.exitcode for other in others) or leaving.wait(NOTICE_SECONDS):
        return
    died = [f"process {i} (exit code {other.exitcode})" for i, other in enumerate(others, 1) if other.exitcode]
    log_line(f"crash: the run cannot continue without {', '.join(died)}")
    for other in others:
        other.kill()
    os._exit(EXIT_FAILED)

"""How the C library hands out memory: a training pass gets back the pages that the pass before it freed."""

from __future__ import annotations

import ctypes

# The parameters of glibc's mallopt(3), by their numbers in malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

# Blocks up to this size come from the heap; glibc takes no larger limit.
LARGEST_ON_HEAP = 32 * 2**20
# Free memory at the end of the heap that is kept for later passes.
KEPT_FREE = 2**30


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory for the next pass; returns whether it does (glibc alone can).

    By default it gives blocks of activations back to the system after each pass, which fills every page with zeros
    when the next pass asks for it again: thousands of page faults a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_ON_HEAP)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_FREE))

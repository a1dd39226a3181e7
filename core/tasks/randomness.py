"""Stateless randomness: every random number is a pure function of the run's seed and of its purpose.

So a resumed run needs no generator state: step 57 uses the same numbers, whichever process made the steps before it.
"""

from __future__ import annotations

import hashlib

import torch


def seed_for(seed: int, *purpose: object) -> int:
    """A seed of 63 bits for one purpose, as in seed_for(0, "gates", step); distinct purposes do not correlate."""
    text = "\x1f".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator for one purpose; draws are made on the CPU, so that they are the same on every device."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))

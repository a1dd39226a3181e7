"""The memory of passes: pages that a pass has freed are there for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Prints whether memory is kept, and how many pages two later passes of 48 MB of activations had to ask for.
PASSES = """
import resource
import torch
from core.runtime.memory import keep_freed_memory

def activations():
    return [torch.ones(2**18) for _ in range(48)]

kept = keep_freed_memory()
activations()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
activations()
activations()
print(int(kept), (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize())
"""


def test_a_pass_uses_the_memory_that_the_pass_before_it_freed():
    output = subprocess.run([sys.executable, "-c", PASSES], check=True, capture_output=True, text=True).stdout
    kept, asked = map(int, output.split())
    if not kept:
        pytest.skip("only glibc can be told to keep memory")
    assert asked < 2 * 48 * 2**20 / 4

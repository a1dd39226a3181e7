"""`precision = "auto"`: bf16 where the processor multiplies it and torch makes use of that, fp32 elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from core.runtime.device import auto_precision, bf16_instructions, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "kernels", "found"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": True}, "AVX512", ["amx_bf16", "avx512_bf16"]),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, "AVX512", ["avx512_bf16"]),
        ({"architecture": "x86_64", "avx512_bf16": False, "avx512_f": True}, "AVX512", []),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": True}, "AVX2", []),
        ({"architecture": "x86_64", "avx2": True}, "AVX2", []),
        ({"architecture": "aarch64", "bf16": True}, "DEFAULT", ["bf16"]),
        ({"architecture": "aarch64", "bf16": False}, "DEFAULT", []),
        ({}, "DEFAULT", []),
    ],
)
def test_bf16_needs_the_instructions_and_the_kernels(capabilities, kernels, found):
    assert bf16_instructions(capabilities, kernels) == found


def test_auto_is_what_this_processor_has():
    name, reason = auto_precision(CPU)
    has = bf16_instructions(torch.cpu.get_capabilities(), torch.backends.cpu.get_cpu_capability())
    assert (name == "bf16") == bool(has)
    assert all(instruction in reason for instruction in has)
    assert resolve_precision("auto", CPU) == {"bf16": torch.bfloat16, "fp32": torch.float32}[name]


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_precision_that_is_asked_for_is_taken(name, dtype):
    assert resolve_precision(name, CPU) == dtype


def test_where_torch_may_not_use_the_instructions_auto_is_fp32():
    child = subprocess.run(
        [sys.executable, "-m", "core.precision"], env=os.environ | {"ATEN_CPU_CAPABILITY": "avx2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(child.stdout)
    assert (answer["device"], answer["precision"]) == ("cpu", "fp32")
    assert "AVX2" in answer["reason"]

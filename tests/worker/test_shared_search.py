"""Runs that differ in retraining alone share one search, and retraining may go on from the weights that it learned."""

from __future__ import annotations

import random
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from support import make_run, run_spec, space
from workers import Worker, attempt, checkpoint_files, has_reached, kill_at, make_spec, outcome

from core.run.errors import EXIT_OK, RunDirError
from core.run.events import Gates, Phase, SearchTaken, Started, read_events
from core.run.rundir import RunDir, read_json
from core.run.searched import read_searched, take, write_searched
from core.run.spec import RunSpec
from core.run.structure import Structure
from core.worker.execute import execute

RANKS = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "norm.*": ["lnfit"], "block.ffn": ["low-rank-adapter"]}
SEARCHING = {
    "s3": {},
    "bipeft": {"bipeft": {"pruning_steps": 3}, "space": space(RANKS)},
    "saliency": {"saliency": {"head_steps": 4, "batches": 3}},
}


def spec_of(root, method="s3", family="bert", **retrain) -> RunSpec:
    retrain = {"max_steps": 4, "eval_every": 2} | retrain
    return run_spec(root / family, root / "reviews.jsonl", method=method, retrain=retrain, **SEARCHING[method])


def done(folder, spec) -> RunDir:
    run = make_run(folder, spec)
    assert execute(run) == EXIT_OK, run.log
    return run


def took_from(folder, spec, source: RunDir) -> RunDir:
    run = make_run(folder, spec)
    take(run, source, "suite/first")
    assert execute(run) == EXIT_OK
    return run


def learned(run: RunDir) -> dict:
    """What a run found and learned, whoever searched."""
    shared = {"search_from", "shared_search_seconds"}
    both = outcome(run)
    told = {key: event for key, event in both.pop("told").items() if key[1] == "retrain"}
    result = {k: v for k, v in both["result"].items() if k not in shared}
    return {"structure": both["structure"], "delta": both["delta"], "result": result, "told": told}


@pytest.mark.parametrize(
    ("method", "family", "start"),
    [("s3", "bert", "scratch"), ("s3", "t5", "searched"), ("bipeft", "bert", "searched"), ("saliency", "bert", "scratch")],
)
def test_a_run_that_takes_a_search_ends_as_if_it_had_searched_itself(tmp_path, root, method, family, start):
    source = done(tmp_path / "first", spec_of(root, method, family))
    other = spec_of(root, method, family, learning_rate=5e-3, start=start)
    alone = done(tmp_path / "alone", other)
    run = took_from(tmp_path / "second", other, source)
    assert learned(run) == learned(alone)
    assert source.structure.read_bytes() == run.structure.read_bytes()
    assert source.search.exists()

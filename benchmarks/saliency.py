"""What scoring by saliency costs against the search of the default suite, in seconds of CPU.

    python benchmarks/saliency.py [--rounds 3] [--steps 15]

Both run in this process, turn by turn, on one thread: all of `method = "saliency"`, and some steps of `s3` as the suite
has it, from which those of the whole search follow. Evaluations of the search are left out, so that the ratio is an
upper bound. The model, the data and the settings are those of experiments.toml.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import tomllib
import torch

from core.model.gated import GatedModel
from core.run.rundir import RunDir
from core.run.spaces import library_space
from core.run.spec import RunSpec
from core.runtime.reporter import SilentReporter
from core.search.methods.s3 import S3
from core.search.methods.saliency import Saliency
from core.training.setup import Setup, load

SUITE = Path(__file__).parent.parent / "experiments.toml"


def setup_of(method: str) -> Setup:
    """The default suite's run of a method, ready to search."""
    settings: dict[str, Any] = tomllib.loads(SUITE.read_text())["defaults"]
    settings |= {"method": method, "space": library_space(settings["space"])}
    spec = RunSpec.model_validate(settings)
    return load(RunDir(Path(tempfile.mkdtemp())), spec, None, SilentReporter())


def seconds(setup: Setup, searcher: type[S3] | type[Saliency], steps: int | None) -> tuple[float, int]:
    """CPU seconds of so many steps (None: all of them), and how many steps the whole search has."""
    model = GatedModel(setup.backbone.model, setup.placed, setup.backbone.head)
    method = searcher(setup, model, setup.budget or 0)
    state: Any = method.start(None)
    setup.backbone.model.train()
    begin = time.process_time()
    while state.step < (steps or method.total_steps):
        state, _ = method.step(state)
    spent = time.process_time() - begin
    model.detach()
    return spent, method.total_steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What scoring by saliency costs against a search.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scored, searched = setup_of("saliency"), setup_of("s3")
    ratios = []
    for number in range(options.rounds + 1):
        own, _ = seconds(scored, Saliency, None)
        part, total = seconds(searched, S3, options.steps)
        whole = part / options.steps * total
        if number:  # the first round warms up
            ratios.append(own / whole)
            print(
                f"saliency {own:6.2f} s, search of {total} steps {whole:6.2f} s: {100 * ratios[-1]:.1f} %", flush=True
            )
    print(f"median {100 * statistics.median(ratios):.1f} %")


if __name__ == "__main__":
    main()

"""What telling costs a search: a `step` and a `gates` event of 916 candidates, against a step of T5-small's shape.

    python benchmarks/events.py

At most four `gates` events a second are written, so a run pays less than this for steps that are shorter than 0.25 s.
The figures are printed, and kept in benchmarks/results/events.json.
"""

from __future__ import annotations

import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from core.model.gated import GatedModel
from core.model.space import place
from core.run.events import EventWriter, Gates, Step
from core.run.spaces import library_space
from core.run.training import SearchSettings
from core.search.bilevel import Problem, initial_state, search_step
from core.search.passes import Noise

CANDIDATES = 916  # of `mix-low-rank` on T5-large
BUDGET = 1.389e-4
ROWS, LENGTH, TARGET_LENGTH = 8, 64, 8
STEPS, EVENTS = 3, 2000
RESULTS = Path(__file__).parent / "results" / "events.json"


def median_seconds(action: Callable[[], None], times: int) -> float:
    """The median of so many calls, after one that does not count."""
    action()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def telling() -> float:
    """Seconds that the two events take."""
    p = [round(value, 6) for value in torch.rand(CANDIDATES, generator=torch.Generator().manual_seed(0)).tolist()]
    step = Step("search", 1, 1 / 3, 1 / 7, 3e-4, 1 / 3, 1 / 70, 0.1, 102_457.99, 231_004.5, 102_400, 1.386)
    with tempfile.TemporaryDirectory() as folder:
        writer = EventWriter(Path(folder) / "events.jsonl")

        def tell() -> None:
            writer.write(step)
            writer.write(Gates(1, p))

        seconds = median_seconds(tell, EVENTS)
        writer.close()
    return seconds


def searching() -> float:
    """Seconds that a search step takes, with the cheapest second-order hypergradient."""
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, decoder_start_token_id=0
    )
    network = transformers.T5ForConditionalGeneration(config).requires_grad_(False).train()
    budget = BUDGET * sum(p.numel() for p in network.parameters())
    model = GatedModel(network, place(library_space("mix-low-rank"), network))
    settings = SearchSettings(max_steps=1000, hypergradient="forward-difference")
    problem = Problem(model, torch.tensor(model.parameters), budget, settings, 1000)
    state = initial_state(problem, model.initial_weights(0))
    inputs, labels = torch.randint(5, 30_000, (ROWS, LENGTH)), torch.randint(5, 30_000, (ROWS, TARGET_LENGTH))
    batch = {"input_ids": inputs, "labels": labels}

    def step() -> None:
        noise = Noise.draw(0, 0, len(model.placed), True, True, model.device)
        search_step(problem, state, [batch], [batch], noise)

    return median_seconds(step, STEPS)


def main() -> None:
    """Measure both, print and keep them."""
    told, step = telling(), searching()
    figures = {
        "date": datetime.date.today().isoformat(),
        "machine": "CPU, 2 shared cores",
        "threads": torch.get_num_threads(),
        "candidates": CANDIDATES,
        "batch": [ROWS, LENGTH],
        "two_events_ms": round(told * 1e3, 4),
        "search_step_ms": round(step * 1e3, 1),
        "ratio": round(told / step, 6),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

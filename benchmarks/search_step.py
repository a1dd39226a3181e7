"""How long a search step takes, against the floor and against the step as one would write it first.

    python benchmarks/search_step.py [--shape t5-small] [--batch 8] [--length 64] [--device cpu] [--precision fp32]
                                     [--compiled] [--gradient-checkpointing] [--only-memory] [--variants NAME...]

The floor of a pass (`bare`) is a forward and backward of the frozen backbone alone as transformers have it, with a
gradient to the embeddings' output only; `bare-undropped` is the same without dropout, and `bare-ours` the same with our
dropout and attention, and a decoder's logits of answers alone. Every variant is timed in turn, round after round on the
same batch, so that drift of the machine meets all of them: in CPU seconds if one thread of a CPU computes, else by the
clock. Medians are printed, and the ratios are what counts: of a variant to `bare` or `naive` in the same round. Peak
memory is that of a fresh process for each.
The figures go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from naive import NaiveSearch
from torch import Tensor, nn

from core.model.gated import GatedModel
from core.model.space import place
from core.run.events import EventWriter, Gates, Step
from core.run.selection import random_selection
from core.run.spaces import library_space
from core.run.training import SearchSettings
from core.search.bilevel import Problem, SearchState, initial_state, search_step
from core.search.gates import sample
from core.search.passes import Noise
from core.tasks.batches import IGNORED_LABEL, Encoded
from core.training.gradient_checkpointing import checkpointed
from core.training.loss import loss_of
from core.training.optim import adamw
from core.training.retrain import take_step
from core.training.trainee import StructureTrainee

SHAPES: dict[str, dict[str, Any]] = {
    "t5-small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "t5-large": {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "num_layers": 24, "num_heads": 16},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "llama-1b": {
        "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 8192, "vocab_size": 128_256, "tie_word_embeddings": True,
    },
    "smollm2-135m": {
        "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "intermediate_size": 1536, "vocab_size": 49_152, "tie_word_embeddings": True,
    },
}  # fmt: skip
DECODERS = ("llama-1b", "smollm2-135m")
# Forward and backward passes of one step; the Hessian-vector product is a forward and about two backwards more.
PASSES = {"retrain": 1, "first-order": 2, "forward-difference": 4, "central-difference": 5, "exact": 5}
# Bare passes through torch.compile: as it is, and with CUDA graphs.
COMPILED = {"bare-compiled": "default", "bare-graphed": "reduce-overhead"}
BUDGET = 1.389e-4
TARGET_LENGTH = 8


def network(shape: str, device: str, dtype: torch.dtype) -> nn.Module:
    """Random weights of a shape; nothing is downloaded."""
    import transformers

    torch.manual_seed(0)
    if shape.startswith("t5"):
        config = transformers.T5Config(vocab_size=32128, decoder_start_token_id=0, **SHAPES[shape])
        model: nn.Module = transformers.T5ForConditionalGeneration(config)
    elif shape in DECODERS:
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPES[shape]))
    else:
        config = transformers.BertConfig(num_labels=2, **SHAPES[shape])
        model = transformers.BertForSequenceClassification(config)
    return model.to(device, dtype).requires_grad_(False).train()


def make_batch(shape: str, rows: int, length: int, device: str, seed: int) -> dict[str, Tensor]:
    """Random tokens without padding; a decoder answers with the last of them."""
    place_ = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 30_000, (rows, length), generator=place_)
    labels = torch.randint(5, 30_000, (rows, TARGET_LENGTH), generator=place_)
    if shape == "minilm":
        labels = labels[:, 0] % 2
    if shape in DECODERS:
        labels = ids.clone()
        labels[:, :-TARGET_LENGTH] = IGNORED_LABEL
    return {k: v.to(device) for k, v in {"input_ids": ids, "labels": labels}.items()}


def as_encoded(shape: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch as `core.tasks` makes it: of a decoder's labels the last ones alone."""
    if shape not in DECODERS:
        return batch
    return batch | {"labels": batch["labels"][:, -TARGET_LENGTH - 1 :]}


class Bench:
    """The variants of one shape on one device, each a function that makes one step."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
        self.model = network(options.shape, options.device, dtype)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        sizes = (options.shape, options.batch, options.length, options.device)
        self.train, self.validation = (make_batch(*sizes, seed=seed) for seed in (1, 2))

    def variant(self, name: str) -> Callable[[], object]:
        """One step of `bare`, `bare-undropped`, `bare-ours`, one of COMPILED, `naive`, `retrain` or a hypergradient."""
        if name == "bare":
            return self._bare
        if name == "bare-ours":
            batch = as_encoded(self.options.shape, self.train)
            return lambda: self._bare(lambda: loss_of(self.model, batch, "fast"))
        if name == "retrain":
            return self._retrain()
        if name == "bare-undropped":
            return self._bare_undropped
        if name in COMPILED:
            self.model = torch.compile(self.model, mode=COMPILED[name])
            return self._bare
        if name == "naive":
            placed = place(library_space("mix-low-rank"), self.model)
            self.model.set_attn_implementation("eager")
            naive = NaiveSearch(self.model, placed, BUDGET * self.parameters, 3e-4, 0.1)
            return lambda: naive.step(self.train, self.validation)
        return self._ours(name)

    def _bare(self, loss: Callable[[], Tensor] | None = None) -> None:
        """Forward and backward, with a gradient to what the embeddings give and nothing else."""
        vocabulary = self.model.config.vocab_size
        tables = [m for m in self.model.modules() if isinstance(m, nn.Embedding) and m.num_embeddings == vocabulary]
        handles = [
            table.register_forward_hook(lambda module, args, output: output.detach().requires_grad_())
            for table in tables
        ]
        (loss() if loss else self.model(**self.train).loss).backward()
        for handle in handles:
            handle.remove()

    def _bare_undropped(self) -> None:
        self.model.eval()
        self._bare()
        self.model.train()

    def _retrain(self) -> Callable[[], None]:
        """Steps of training a structure drawn at random within the budget."""
        placed = place(library_space("mix-low-rank"), self.model)
        costs = GatedModel(self.model, placed).parameters
        chosen = random_selection(costs, int(BUDGET * self.parameters), 0)
        gated = GatedModel(self.model, [placed[i] for i in chosen])
        trainee = StructureTrainee(gated, gated.initial_weights(0))
        optimizer = torch.optim.AdamW(trainee.parameters, 1e-3)
        batch = as_encoded(self.options.shape, self.train)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with trainee.bound() as backbone:
                loss_of(backbone, batch, "fast").backward()
            torch.nn.utils.clip_grad_norm_(trainee.parameters, 2.0)
            take_step(trainee, optimizer)

        return step

    def _ours(self, method: str) -> Callable[[], None]:
        problem, state = self.problem(method)
        keep = {"state": state}
        train, validation = (as_encoded(self.options.shape, batch) for batch in (self.train, self.validation))

        def step() -> None:
            noise = self.noise(problem, keep["state"].step)
            with checkpointed(self.model, self.options.gradient_checkpointing, "fast"):
                keep["state"], metrics = search_step(problem, keep["state"], [train], [validation], noise)
            metrics.train_loss.item()

        return step

    def problem(self, method: str) -> tuple[Problem, SearchState]:
        """A search on a model of its own gates; the backbone is shared."""
        gated = GatedModel(self.model, place(library_space("mix-low-rank"), self.model))
        settings = SearchSettings(max_steps=1000, hypergradient=method)  # type: ignore[arg-type]
        costs = torch.tensor(gated.parameters, device=gated.device)
        problem = Problem(gated, costs, BUDGET * self.parameters, settings, 1000)
        return problem, initial_state(problem, gated.initial_weights(0))

    def noise(self, problem: Problem, step: int) -> Noise:
        """The noise of a step."""
        return Noise.draw(0, step, len(problem.model.placed), True, True, problem.model.device)


def timed(step: Callable[[], object], device: str) -> float:
    """Seconds of one call, the device's work included."""
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return clock() - began


def bench_of(options: argparse.Namespace, name: str) -> Bench:
    """A network for a variant. The paper's code, and so the naive step, computes in fp32."""
    precision = "fp32" if name == "naive" else options.precision
    return Bench(argparse.Namespace(**vars(options) | {"precision": precision}))


def variants(options: argparse.Namespace) -> list[str]:
    """What is measured, in the order in which it takes turns."""
    if options.variants:
        return ["bare", *options.variants]
    compiled = [name for name in COMPILED if options.compiled and (name != "bare-graphed" or is_cuda(options))]
    return ["bare", "bare-undropped", "bare-ours", *compiled, *PASSES, "naive"]


def is_cuda(options: argparse.Namespace) -> bool:
    """Whether a GPU is measured."""
    return str(options.device).startswith("cuda")


def rounds(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each variant, taken in turn. What wraps its model has one of its own."""
    names, ours = variants(options), Bench(options)
    steps = {
        name: (bench_of(options, name) if name == "naive" or name in COMPILED else ours).variant(name) for name in names
    }
    for step in steps.values():
        timed(step, options.device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            times[name].append(timed(step, options.device))
    return times


def parts(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of what is not a pass, once each; an encoder's tokens stand for the data of all shapes."""
    bench = Bench(options)
    problem, state = bench.problem("central-difference")
    logits, _ = problem.logits(state.alpha, 0)
    noise, w = bench.noise(problem, 0), state.weights
    p = torch.sigmoid(logits).tolist()
    encoded = Encoded([list(range(options.length))] * 64, [0] * 64, 0)
    with tempfile.TemporaryDirectory() as folder:
        writer = EventWriter(Path(folder) / "events.jsonl")
        calls: dict[str, Callable[[], object]] = {
            "gate solve": lambda: problem.logits(state.alpha, 0),
            "sampling": lambda: sample(logits, noise.outer),
            "noise": lambda: bench.noise(problem, 1),
            "binding": lambda: bench_bind(problem, w, noise.outer[0]),
            "virtual step": lambda: adamw.update(w, w, state.weight_state, 1e-3),
            "optimiser of weights": lambda: adamw.update(w, adamw.clip(w, 1.0)[0], state.weight_state, 1e-3),
            "optimiser of alphas": lambda: adamw.update(state.alpha, state.alpha, state.alpha_moments, 1e-3),
            "derivative": lambda: adamw.derivative(w, state.weight_state, 1e-3),
            "perturbation": lambda: w + 0.01 * w,
            "event writing": lambda: write_events(writer, p),
            "data": lambda: encoded.batch(range(options.batch)),
        }
        found = {
            name: statistics.median(timed(call, options.device) for _ in range(20)) for name, call in calls.items()
        }
        writer.close()
    return found


def write_events(writer: EventWriter, p: list[float]) -> None:
    """The events of a step, and the gates, which are written a few times a second at most."""
    writer.write(Step("search", 1, 1 / 3, 1 / 7, 3e-4, 1 / 3, 1 / 70, 0.1, 102_457.99, 231_004.5, 102_400, 1.4))
    writer.write(Gates(1, [round(value, 6) for value in p]))


def bench_bind(problem: Problem, weights: Tensor, gates: Tensor) -> None:
    """Bind and unbind all deltas once, as every pass does."""
    with problem.model.bound(weights, gates):
        pass


def peak_memory(options: argparse.Namespace, variant: str) -> int:
    """Bytes at the peak of two steps of a variant, in a fresh process."""
    arguments = [f"--{name}={getattr(options, name)}" for name in ("shape", "batch", "length", "device", "precision")]
    arguments += ["--gradient-checkpointing"] if options.gradient_checkpointing else []
    command = [sys.executable, __file__, *arguments, f"--memory-of={variant}"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_memory(options: argparse.Namespace) -> None:
    """Print the peak of this process, or of the device's allocator."""
    step = bench_of(options, options.memory_of).variant(options.memory_of)
    for _ in range(2):
        step()
    if options.device.startswith("cuda"):
        print(torch.cuda.max_memory_allocated())
        return
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; the content of the result file."""
    times = rounds(options)
    medians = {name: statistics.median(values) for name, values in times.items()}
    memory = {name: peak_memory(options, name) for name in medians if name not in COMPILED}
    quarters = statistics.quantiles(times["bare"], n=4)
    return {
        "settings": {k: v for k, v in vars(options).items() if k != "memory_of"},
        "date": datetime.date.today().isoformat(),
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else f"CPU, {platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "seconds": {
            n: {"median": medians[n], "min": min(v), "max": max(v), "all": [round(x, 4) for x in v]}
            for n, v in times.items()
        },
        "overhead": overhead(times, "bare"),
        "overhead_undropped": overhead(times, "bare-undropped"),
        "overhead_ours": overhead(times, "bare-ours"),
        "of_naive": {name: paired(times, name, "naive") for name in PASSES if {name, "naive"} <= times.keys()},
        "compiled_of_bare": {name: paired(times, name, "bare") for name in times if name in COMPILED},
        "naive_in_bare_passes": paired(times, "naive", "bare") / 5 if "naive" in times else None,
        "memory_bytes": memory,
        "memory_of_naive": {name: memory[name] / memory["naive"] for name in PASSES if {name, "naive"} <= times.keys()},
        "parts_seconds": parts(options),
        "noise": (quarters[2] - quarters[0]) / medians["bare"],
    }


def overhead(times: dict[str, list[float]], floor: str) -> dict[str, float]:
    """Each step's time over that of its passes at the floor, for what was measured."""
    return {name: paired(times, name, floor) / n for name, n in PASSES.items() if {name, floor} <= times.keys()}


def paired(times: dict[str, list[float]], name: str, other: str) -> float:
    """The median over the rounds of one variant's seconds against those of another in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[other], strict=True))


def show(result: dict[str, Any]) -> None:
    """The figures as a table."""
    print(f"{result['device']}, {result['threads']} threads, {result['settings']}")
    print(f"{'':22}{'median s':>10}{'min':>8}{'overhead':>10}{'of naive':>10}{'peak MB':>9}{'of naive':>10}")
    for name, seconds in result["seconds"].items():
        ratio = [result[key].get(name) for key in ("overhead", "of_naive", "memory_of_naive")]
        text = [f"{r:10.2f}" if r is not None else " " * 10 for r in ratio]
        megabytes = f"{result['memory_bytes'][name] / 1e6:9.0f}" if name in result["memory_bytes"] else " " * 9
        print(f"{name:22}{seconds['median']:10.3f}{seconds['min']:8.3f}{text[0]}{text[1]}{megabytes}{text[2]}")
    for name, ratio in result["compiled_of_bare"].items():
        print(f"{name} takes {ratio:.2f} of an eager bare pass")
    for name, ratio in result["overhead_ours"].items():
        print(f"{name} takes {ratio:.2f} of its bare-ours passes")
    if "naive" in result["seconds"]:
        print(f"naive is {result['naive_in_bare_passes']:.2f} times five bare passes")
    if step := result["seconds"].get("central-difference", {}).get("median"):
        for name, seconds in result["parts_seconds"].items():
            print(f"  {name:20}{seconds * 1e3:9.2f} ms {100 * seconds / step:6.2f} % of a central-difference step")
    if result["noise"] > 0.15:
        print(f"The machine was too noisy to tell: half of the bare passes differ by {100 * result['noise']:.0f} %.")


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="How long a search step takes.")
    parser.add_argument("--shape", choices=SHAPES, default="t5-small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compiled", action="store_true", help="bare passes through torch.compile too")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--only-memory", action="store_true", help="the peaks of bare and first order, and no times")
    parser.add_argument("--variants", nargs="+", help="what is measured beside bare; everything by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        measure_memory(options)
        return
    if options.only_memory:
        for name in ("bare", "first-order", "forward-difference"):
            print(f"{options.shape} {options.precision} {name}: {peak_memory(options, name) / 1e9:.2f} GB at its peak")
        return
    result = report(options)
    show(result)
    kind = ("checkpointed-" if options.gradient_checkpointing else "") + options.device.partition(":")[0]
    file = Path(__file__).parent / "results" / f"search_step-{options.shape}-{options.precision}-{kind}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

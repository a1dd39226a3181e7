"""Balanced steps: the first step of AdamW changes the output of a module equally much, whichever delta makes it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
import torch
from support import EARLIER, ENCODER_DECODERS, FAMILIES, batch, build, loss_under, space
from torch import Tensor, nn

from core.model.deltas import make
from core.model.deltas.balance import RELATIVE, TEXT
from core.model.deltas.base import parameters
from core.model.gated import GatedModel
from core.model.site import Site, Sublayer
from core.model.sites import find_sites
from core.model.space import Placed, place
from core.model.sublayers import input_site
from core.run.deltas import parse_delta
from core.run.structure import Candidate
from core.training.optim import adamw
from core.training.optim.step_scale import Scale

LR = 1e-5
FACTOR = 3
WIDTHS = (32, 128, 1024)
# Deltas at a module, at each rank, bottleneck or reduction that counts; what attends is tested on whole networks.
AT_MODULES = {
    "linear": ["lora(rank={r})", "lora(rank={r}, alpha=1)", "bitfit", "ia3", "adapter(bottleneck={r})",
               "parallel-adapter(bottleneck={r})", "low-rank-adapter(rank={r})", "compacter(rank={r})"],
    "norm": ["lnfit", "bitfit"],
    "block": ["bitfit", "ia3", "adapter(bottleneck={r})", "parallel-adapter(bottleneck={r})",
              "low-rank-adapter(rank={r}, reduction=4)", "compacter(rank={r}, division=2)"],
}  # fmt: skip
RANKS = (1, 8, 64)
CASES = sorted({(kind, text.format(r=r)) for kind, texts in AT_MODULES.items() for text in texts for r in RANKS})


class Network(nn.Module):
    """A module that reads and writes features of mean square one."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.module = nn.LayerNorm(width, bias=False) if kind == "norm" else nn.Linear(width, width, bias=False)
        if kind != "norm":
            nn.init.normal_(self.module.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


def rms(values: Tensor) -> float:
    return values.square().mean().sqrt().item()


def stepped(model: GatedModel, weights: Tensor, gradient: Tensor, scale: Scale) -> Tensor:
    return adamw.update(weights, gradient, adamw.initial(weights), LR * scale)[0]


def moved(kind: str, text: str, width: int, tokens: int, seed: int) -> float:
    """By how many learning rates a first step changes the output, the loss being its product with random numbers."""
    torch.manual_seed(seed)
    site = Site("own", "encoder", 0, "module", kind, width, width, Sublayer("module", width, None))
    delta = make(parse_delta(text))
    candidate = Candidate("own", "encoder", 0, "module", text, parameters(delta, site))
    network = Network(kind, width).double()
    model = GatedModel(network, [Placed(candidate, site, delta)])
    x, along = torch.randn(2, tokens, width, dtype=torch.float64)
    weights = model.initial_weights(seed).double().requires_grad_()
    gates = torch.ones(1, dtype=torch.float64)
    with model.bound(weights, gates):
        before = network(x)
    (gradient,) = torch.autograd.grad((before * along).sum(), weights)
    with torch.no_grad(), model.bound(stepped(model, weights.detach(), gradient, model.balanced()), gates):
        return rms(network(x) - before) / LR


@pytest.mark.parametrize(("kind", "text"), CASES)
@pytest.mark.parametrize("tokens", [1, 256], ids=["one-token", "many-tokens"])
def test_a_first_step_moves_the_output_as_a_bias_would_at_every_rank_and_width(kind, text, tokens):
    """A BitFit moves it by the learning rate. One token is what a step is for; many have each their own mind."""
    for width in WIDTHS:
        found = math.sqrt(sum(moved(kind, text, width, tokens, seed) ** 2 for seed in range(8)) / 8)
        assert 1 / FACTOR < found < FACTOR, (width, found)


WHOLE = {
    "{attn,cross,ffn}.*": ["lora(rank=4)", "bitfit", "ia3"],
    "norm.*": ["lnfit", "bitfit"],
    "block.*": ["bitfit", "adapter(bottleneck=8)", "low-rank-adapter(reduction=8)", "compacter(reduction=8)"],
    "block.ffn": ["parallel-adapter(bottleneck=8)"],
}
# What is attended to, beside a text of the length that is assumed.
READ = {"block.attn": ["prefix(length=3)", "prefix(length=12)"], "input": ["soft-prompt(length=4)"]}
WINDOWS = ("mistral", "gemma2", "gemma3")  # of which a token sees less than the text
EXPERTS = ("qwen2_moe", "mixtral")  # which compute in no higher precision
SHARED = ("albert",)  # whose layers are one: what each writes is changed by those before it too
UNLIKE = (*WINDOWS, *EXPERTS, *SHARED, "olmo2")  # the last normalises what attention writes, not what it reads
READERS = [family for family in FAMILIES if family not in UNLIKE and input_site(build(family)) is not None]


class Watched:
    """What modules of a network read and write in a pass; of texts, without what stands before them."""

    def __init__(self, network: nn.Module, paths: Iterable[str], length: int) -> None:
        self.read: dict[str, Tensor] = {}
        self.written: dict[str, Tensor] = {}
        for path in set(paths):
            network.get_submodule(path).register_forward_hook(partial(self._look, path, length))

    def _look(self, path: str, length: int, module: nn.Module, args: tuple, output: Any) -> None:
        if args:
            self.read[path] = args[0].detach()
        self.written[path] = (output[0] if isinstance(output, tuple) else output).detach()[:, -length:]


def where(placed: Placed, model: nn.Module) -> str:
    """The module whose output a candidate changes: for a soft prompt the first attention that reads it."""
    if placed.site.kind != "stack":
        return placed.site.module
    return next(s.module for s in find_sites(model) if s.name == "block.attn" and s.stack == placed.site.stack)


def texts(family: str, length: int) -> dict[str, Tensor]:
    """Texts of this length, and answers of it too where a decoder reads them."""
    data = batch(family, length=length)
    return data | {"labels": data["input_ids"]} if family in ENCODER_DECODERS else data


class Changes:
    """A network of a family, and by how many learning rates a first step of each candidate changes its module's output.

    `together` takes the gradients of all candidates in one pass, which are those of each where all start at zero.
    """

    def __init__(self, family: str, table: dict[str, list[str]], length: int, together: bool) -> None:
        backbone = build(family).double()
        for name, weights in backbone.named_parameters():
            if not together and "t5" in family and re.search(r"Attention\.q\.", name):
                weights.data /= math.sqrt(weights.shape[0] / 4)  # T5 does not divide its scores by the width of a head
        model = GatedModel(backbone, place(space(table), backbone))
        paths = {number: where(placed, backbone) for number, placed in enumerate(model.placed)}
        data, one_each = texts(family, length), torch.eye(len(paths), dtype=torch.float64)
        weights, scale = model.initial_weights(3).double(), model.balanced()
        watched = Watched(backbone, paths.values(), length)
        everything = torch.ones(len(paths), dtype=torch.float64)
        gradient = self._gradient(model, weights, everything, data) if together else None
        self.found: dict[str, tuple[float, float]] = {}
        for number, path in paths.items():
            own = self._gradient(model, weights, one_each[number], data) if gradient is None else gradient
            written = []
            for vector in (weights, stepped(model, weights, own, scale)):
                with torch.no_grad(), model.bound(vector, one_each[number]):
                    backbone(**data)
                written.append(watched.written[path])
            size = rms(watched.read[path]) if path in watched.read else 1.0
            self.found[model.placed[number].candidate.name] = rms(written[1] - written[0]) / LR, size

    def _gradient(self, model: GatedModel, weights: Tensor, gates: Tensor, data: dict[str, Tensor]) -> Tensor:
        variable = weights.clone().requires_grad_()
        return torch.autograd.grad(loss_under(model, variable, gates, data), variable)[0]


def outside(found: dict[str, float]) -> dict[str, float]:
    return {name: change for name, change in found.items() if not 1 / FACTOR < change < FACTOR}


@pytest.mark.parametrize("family", [*EARLIER, "modernbert", "olmo2"])
def test_a_first_step_moves_every_module_of_every_family_alike(family):
    """Relative to the size of what is read, for the deltas that are linear in it; it is one in the middle of a network.

    A bias of keys is left out: no softmax sees it, so that its gradient is zero.
    """
    found = {}
    for name, (change, size) in Changes(family, WHOLE, length=9, together=True).found.items():
        if not re.search(r"\.k.* bitfit", name):
            found[name] = change / size if re.search("lora|ia3", name) else change
    assert not outside(found)


@pytest.mark.parametrize("family", READERS)
def test_a_first_step_of_what_is_attended_to_moves_the_output_of_attention_alike(family):
    found = Changes(family, READ, length=TEXT, together=False).found
    assert not outside({name: change for name, (change, _) in found.items()})


@pytest.mark.parametrize("text", sorted({text for kind, text in CASES if kind != "norm"}))
def test_what_zeros_multiply_moves_by_the_same_share_of_itself_at_every_width(text):
    """By 10 lr of its root mean square, so that a rate which suits one network suits a wider one."""
    for width in WIDTHS:
        site = Site("own", "encoder", 0, "module", "linear", width, width, Sublayer("module", width, None))
        for name, weight in make(parse_delta(text)).weights(site).items():
            drawn = torch.Generator().manual_seed(1)
            size = rms(torch.stack([weight.init(weight.shape, drawn) for _ in range(64)]))
            if not weight.gated and size:
                assert weight.rate / size == pytest.approx(RELATIVE, rel=0.2), (name, width)

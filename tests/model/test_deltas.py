"""Laws that every delta obeys, and the equation of each written out."""

from __future__ import annotations

import math

import pytest
import torch
from support import batch, build, space
from torch import nn
from torch.nn import functional as F

from core.model.attach import Attachment
from core.model.deltas import make
from core.model.deltas.base import parameters
from core.model.gated import GatedModel
from core.model.site import Site, Sublayer
from core.model.space import Placed, place, restore
from core.run.deltas import OWN, parse_delta
from core.run.errors import SpecError
from core.run.structure import Candidate

IN, OUT = 12, 20
LINEAR = Site("attn.q", "encoder", 0, "module", "linear", IN, OUT)
NORM = Site("norm.attn", "encoder", 0, "module", "norm", OUT, OUT)
BLOCK = Site("block.ffn", "encoder", 0, "module", "block", OUT, OUT, Sublayer("module", OUT, None))
FFN_OUT = Site("ffn.out", "encoder", 0, "module", "linear", IN, OUT)
# Where what an attention reads is changed, the module is a real one.
D = 32
ATTENTION, STACK = "E1.block.attn", "input"

# A delta where it stands, and its parameters by the formula of its docstring.
CASES: dict[str, tuple[Site | str, int]] = {
    "lora(rank=1)": (LINEAR, IN + OUT),
    "lora(rank=3)": (LINEAR, 3 * (IN + OUT)),
    "bitfit": (LINEAR, OUT),
    "lnfit": (NORM, OUT),
    "adapter(bottleneck=5)": (BLOCK, 2 * 5 * OUT + 5 + OUT),
    "low-rank-adapter(reduction=5)": (BLOCK, 2 * (OUT + 4) + 4 + OUT),
    "low-rank-adapter(reduction=5, rank=2)": (BLOCK, 2 * 2 * (OUT + 4) + 4 + OUT),
    "parallel-adapter(bottleneck=5)": (BLOCK, 2 * 5 * OUT + 5 + OUT),
    "parallel-adapter(bottleneck=3)": (LINEAR, 3 * (IN + OUT) + 3 + OUT),
    "compacter(reduction=2, division=4, rank=2)": (BLOCK, 2 * 4**3 + 2 * 2 * (OUT + 8) + 8 + OUT),
    "ia3": (LINEAR, OUT),
    "ia3()": (FFN_OUT, IN),
    "prefix(length=3)": (ATTENTION, 2 * 3 * D),
    "soft-prompt(length=5)": (STACK, 5 * D),
}
every_delta = pytest.mark.parametrize("text", CASES)
# Prefix and soft prompt start at random, and their gate is a weight in a softmax.
READ = [text for text, (site, _) in CASES.items() if isinstance(site, str)]
every_added_delta = pytest.mark.parametrize("text", [text for text in CASES if text not in READ])


class Network(nn.Module):
    """A module with one site, as small as can be."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.module = {"linear": nn.Linear(IN, OUT, bias=False), "norm": nn.LayerNorm(OUT), "block": nn.Tanh()}[
            site.kind
        ]
        self.place = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)


def one(text: str, site: Site | str) -> GatedModel:
    if isinstance(site, str):
        backbone = build("bert")
        return GatedModel(backbone, place(space({site: [text]}), backbone))
    delta = make(parse_delta(text))
    candidate = Candidate(site.name, site.stack, site.layer, site.module, text, parameters(delta, site))
    return GatedModel(Network(site), [Placed(candidate, site, delta)])


def run(model: GatedModel, weights: torch.Tensor, gate: float) -> torch.Tensor:
    with model.bound(weights, torch.tensor([gate])) as network:
        return output(network, model)


def output(network: nn.Module, model: GatedModel) -> torch.Tensor:
    return network(inputs(model)) if isinstance(network, Network) else network(**batch("bert")).logits


def plain(model: GatedModel) -> torch.Tensor:
    """What the frozen network computes, by one that was never touched."""
    untouched = Network(model.placed[0].site) if isinstance(model.backbone, Network) else build("bert")
    return output(untouched, model)


def inputs(model: GatedModel) -> torch.Tensor:
    return torch.randn(4, 3, model.placed[0].site.inputs, generator=torch.Generator().manual_seed(1))


def random_weights(model: GatedModel) -> torch.Tensor:
    return torch.randn(model.layout.size, generator=torch.Generator().manual_seed(2))


@every_delta
def test_the_count_is_the_formula(text):
    site, count = CASES[text]
    model = one(text, site)
    assert model.layout.size == model.parameters[0] == count


@every_added_delta
def test_it_starts_as_nothing(text):
    model = one(text, CASES[text][0])
    torch.testing.assert_close(run(model, model.initial_weights(3), 1.0), plain(model))


@every_delta
def test_a_closed_gate_is_the_frozen_module(text):
    model = one(text, CASES[text][0])
    torch.testing.assert_close(run(model, random_weights(model), 0.0), plain(model), rtol=0, atol=1e-6)


@every_added_delta
def test_the_gate_multiplies_its_output(text):
    model = one(text, CASES[text][0])
    weights = random_weights(model)
    whole, part = (run(model, weights, gate) - plain(model) for gate in (1.0, 0.3))
    torch.testing.assert_close(part, 0.3 * whole, rtol=1e-4, atol=1e-5)


@every_delta
def test_the_gradient_reaches_gate_and_weights(text):
    model = one(text, CASES[text][0])
    for start in (0.5, 0.0):  # hard gates may be closed, and open again by their gradient
        weights, gate = random_weights(model).requires_grad_(), torch.tensor([start], requires_grad=True)
        with model.bound(weights, gate) as network:
            # A square, as the plain sum of a normalised output has no gradient to speak of.
            to_weights, to_gate = torch.autograd.grad(output(network, model).square().sum(), (weights, gate))
        assert to_gate.abs() > 0
        assert to_gate.isfinite()
        assert start == 0 or all(g.abs().max() > 0 for g in model.named(to_weights).values())


@every_delta
def test_the_gradient_to_the_gate_is_the_slope(text):
    model = one(text, CASES[text][0])
    weights, gate = random_weights(model), torch.tensor([0.6], requires_grad=True)
    with model.bound(weights, gate) as network:
        (to_gate,) = torch.autograd.grad(output(network, model).square().sum(), gate)
    above, below = (run(model, weights, 0.6 + d).square().sum() for d in (5e-3, -5e-3))
    assert to_gate.item() == pytest.approx((above - below).item() / 1e-2, rel=2e-2, abs=1e-3)


@pytest.mark.parametrize("text", READ)
def test_the_gate_of_what_is_read_is_a_weight_among_the_weights(text):
    """Two halves of a gate are one whole: the same prefix twice, each half open, is that prefix."""
    site = CASES[text][0]
    backbone = build("bert")
    twice = GatedModel(backbone, place(space({site: [text]}), backbone) * 2)
    single = one(text, site)
    weights = random_weights(single)
    slots = [slot.name for slot in twice.layout.slots]
    by_name = {slot.name: part for slot, part in zip(single.layout.slots, single.layout.tensors(weights), strict=True)}
    halves = torch.cat([by_name[name].flatten() for name in slots])
    with twice.bound(halves, torch.tensor([0.5, 0.5])) as network:
        torch.testing.assert_close(output(network, twice), run(single, weights, 1.0), rtol=1e-5, atol=1e-5)


@every_delta
def test_tensors_saved_by_name_load_into_the_same_vector(text):
    model = one(text, CASES[text][0])
    weights = random_weights(model)
    assert torch.equal(model.from_named(model.named(weights)), weights)


@every_delta
def test_the_start_is_a_pure_function_of_the_seed(text):
    model = one(text, CASES[text][0])
    assert torch.equal(model.initial_weights(5), one(text, CASES[text][0]).initial_weights(5))
    if parse_delta(text).name not in ("bitfit", "lnfit", "ia3"):
        assert not torch.equal(model.initial_weights(5), model.initial_weights(6))


def test_every_delta_has_a_case_here():
    assert {parse_delta(text).name for text in CASES} == {row.name for row in OWN}


def test_lora_is_a_scaled_product_of_thin_matrices():
    model = one("lora(rank=3)", LINEAR)
    weights, x = random_weights(model), inputs(model)
    a, b = (model.named(weights)[f"module/lora(rank=3)/lora_{k}"] for k in "AB")
    expected = x @ Network(LINEAR).module.weight.T + 0.5 * (16 / 3) * x @ a.T @ b.T
    torch.testing.assert_close(run(model, weights, 0.5), expected, rtol=1e-4, atol=1e-4)


def test_lora_starts_like_a_linear_layer():
    model = one("lora(rank=8)", Site("attn.q", "encoder", 0, "module", "linear", IN, OUT))
    a = model.named(model.initial_weights(0))["module/lora(rank=8)/lora_A"]
    assert a.abs().max() <= 1 / math.sqrt(IN)
    assert a.std() == pytest.approx(1 / math.sqrt(3 * IN), rel=0.15)


def test_bitfit_adds_to_the_bias_that_is_there():
    model = one("bitfit", NORM)
    weights, x = random_weights(model), inputs(model)
    torch.testing.assert_close(run(model, weights, 0.5), Network(NORM)(x) + 0.5 * weights)


def test_lnfit_adds_to_the_weight_of_the_normalisation():
    model = one("lnfit", NORM)
    weights, x = random_weights(model), inputs(model)
    torch.testing.assert_close(run(model, weights, 0.5), F.layer_norm(x, (OUT,), 1 + 0.5 * weights))


def test_an_adapter_is_a_bottleneck_on_the_output():
    model = one("adapter(bottleneck=5)", BLOCK)
    weights, h = random_weights(model), torch.tanh(inputs(model))
    t = {k.rpartition("/")[2]: v for k, v in model.named(weights).items()}
    inner = F.gelu(h @ t["down.weight"].T + t["down.bias"], approximate="tanh")
    expected = h + 0.5 * (inner @ t["up.weight"].T + t["up.bias"])
    torch.testing.assert_close(run(model, weights, 0.5), expected, rtol=1e-4, atol=1e-4)


def test_a_low_rank_adapter_is_an_adapter_of_thin_products():
    model = one("low-rank-adapter(reduction=5, rank=2)", BLOCK)
    weights, h = random_weights(model), torch.tanh(inputs(model))
    t = {k.rpartition("/")[2]: v for k, v in model.named(weights).items()}
    inner = F.gelu(h @ (t["down.left"] @ t["down.right"]) + t["down.bias"], approximate="tanh")
    expected = h + 0.5 * (inner @ (t["up.left"] @ t["up.right"]) + t["up.bias"])
    torch.testing.assert_close(run(model, weights, 0.5), expected, rtol=1e-4, atol=1e-4)


def test_a_parallel_adapter_is_a_bottleneck_on_what_the_module_reads():
    model = one("parallel-adapter(bottleneck=3)", LINEAR)
    weights, x = random_weights(model), inputs(model)
    t = {k.rpartition("/")[2]: v for k, v in model.named(weights).items()}
    inner = F.relu(x @ t["down.weight"].T + t["down.bias"])
    expected = Network(LINEAR)(x) + 0.5 * (inner @ t["up.weight"].T + t["up.bias"])
    torch.testing.assert_close(run(model, weights, 0.5), expected, rtol=1e-4, atol=1e-4)


def test_a_compacter_is_an_adapter_of_kronecker_products():
    model = one("compacter(reduction=2, division=4, rank=2)", BLOCK)
    weights, h = random_weights(model), torch.tanh(inputs(model))
    t = {k.rpartition("/")[2]: v for k, v in model.named(weights).items()}
    down, up = (
        sum(torch.kron(t[f"{x}.rule"][i], t[f"{x}.left"][i] @ t[f"{x}.right"][i]) for i in range(4))
        for x in ("down", "up")
    )
    expected = h + 0.5 * (F.relu(h @ down.T + t["down.bias"]) @ up.T + t["up.bias"])
    torch.testing.assert_close(run(model, weights, 0.5), expected, rtol=1e-4, atol=1e-3)


def test_ia3_scales_what_comes_out_and_at_the_end_of_a_feed_forward_what_goes_in():
    model = one("ia3", LINEAR)
    weights, x = random_weights(model), inputs(model)
    torch.testing.assert_close(run(model, weights, 0.5), (1 + 0.5 * weights) * Network(LINEAR)(x))
    model = one("ia3()", FFN_OUT)
    weights, x = random_weights(model), inputs(model)
    torch.testing.assert_close(run(model, weights, 0.5), Network(FFN_OUT)((1 + 0.5 * weights) * x))


def test_all_deltas_of_a_module_act_as_the_equations_say():
    """h = f(x) + parallel deltas; y = h + sequential deltas, each of which sees h."""
    texts = ["lora(rank=1)", "lora(rank=2)", "bitfit", "adapter(bottleneck=5)"]
    placed = []
    for text in texts:
        delta = make(parse_delta(text))
        placed.append(
            Placed(Candidate("attn.q", "encoder", 0, "module", text, parameters(delta, LINEAR)), LINEAR, delta)
        )
    model = GatedModel(Network(LINEAR), placed)
    weights, gates, x = random_weights(model), torch.tensor([0.2, 0.7, 0.5, 0.9]), inputs(model)
    t = model.named(weights)
    h = x @ Network(LINEAR).module.weight.T
    for rank, gate in ((1, 0.2), (2, 0.7)):
        a, b = (t[f"module/lora(rank={rank})/lora_{k}"] for k in "AB")
        h = h + gate * 16 / rank * x @ a.T @ b.T
    adapter = {k.rpartition("/")[2]: v for k, v in t.items() if "adapter" in k}
    inner = F.gelu(h @ adapter["down.weight"].T + adapter["down.bias"], approximate="tanh")
    y = h + 0.5 * t["module/bitfit/bias"] + 0.9 * (inner @ adapter["up.weight"].T + adapter["up.bias"])
    with model.bound(weights, gates) as network:
        torch.testing.assert_close(network(x), y, rtol=1e-4, atol=1e-3)


def test_the_paper_starts_its_adapters_at_random():
    model = one("low-rank-adapter(reduction=5)", BLOCK)
    ours, original = (model.named(model.initial_weights(0, original=o)) for o in (False, True))
    name = "module/low-rank-adapter(reduction=5)/up.right"
    assert ours[name].abs().max() == 0
    assert original[name].abs().max() > 0


def test_an_error_inside_a_pass_leaves_the_backbone_unbound():
    model = one("lnfit", NORM)
    with pytest.raises(RuntimeError, match="stop"), model.bound(torch.ones(OUT), torch.ones(1)):
        raise RuntimeError("stop")
    assert torch.equal(model.backbone(inputs(model)), Network(NORM)(inputs(model)))


def test_a_detached_module_has_no_hooks():
    module = nn.Linear(2, 2)
    Attachment(module).detach()
    assert not module._forward_hooks
    assert not module._forward_pre_hooks


def test_a_delta_that_fits_nowhere_is_refused():
    with pytest.raises(SpecError, match=r"'lora\(rank=1\)' cannot stand at 'norm.attn'"):
        place(space({"norm.attn": ["lora(rank=1)"]}), build("bert"))


def test_a_site_that_the_model_lacks_is_refused_with_those_it_has():
    with pytest.raises(SpecError, match=r"known: attn\.k, attn\.o"):
        place(space({"cross.q": ["lora"]}), build("bert"))


def test_a_structure_is_restored_on_a_fresh_model():
    placed = place(space(), build("t5"))
    again = restore(tuple(p.candidate for p in placed), build("t5"))
    assert again == placed
    with pytest.raises(SpecError, match="has no module"):
        restore((Candidate("attn.q", "encoder", 9, "encoder.block.9.q", "lora", 1),), build("t5"))


def test_a_small_change_of_a_normalisation_survives_bf16():
    """1 + 0.001 is 1 in bf16; computed in fp32 and rounded afterwards, the change is there on average."""
    delta = make(parse_delta("lnfit"))
    candidate = Candidate("norm.attn", "encoder", 0, "module", "lnfit", OUT)
    model = GatedModel(Network(NORM).to(torch.bfloat16), [Placed(candidate, NORM, delta)])
    x = torch.randn(4000, OUT, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    plain = model.backbone(x)
    with model.bound(torch.full((OUT,), 1e-3), torch.ones(1)) as network:
        changed = network(x)
    assert changed.dtype == torch.bfloat16
    exact = F.layer_norm(x.float(), (OUT,))
    share = ((changed.float() - plain.float()) * exact).sum() / exact.square().sum()
    assert share.item() == pytest.approx(1e-3, rel=0.2)

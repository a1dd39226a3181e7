"""Saliency: criteria against plain autograd, directions against explicit gradients, and scores against true steps."""

from __future__ import annotations

import pytest
import torch
from support import batch, build, loss_under, space
from torch import nn

from core.model.gated import GatedModel
from core.model.space import place
from core.search.scores import Parts, Reach, opened, widest
from core.search.sketch import Moments, Reading, balanced, basis, probe, probed, recorded

TABLE = {"attn.{q,v}": ["lora(rank=[1, 2, 4])", "bitfit"], "ffn.out": ["lora(rank=2)"], "norm.*": ["lnfit"]}
TABLE |= {"block.ffn": ["adapter(bottleneck=[2, 4])"]}
HEAD_NAMES = ["classifier.weight", "classifier.bias"]
BATCHES = 3


def gradients(model: GatedModel, seed: int) -> tuple[torch.Tensor, dict]:
    """The gradient of one batch to all weights, and what the layers with LoRAs have seen."""
    weights = model.initial_weights(0).requires_grad_()
    with recorded(model.backbone, sorted(widest(Reach.all_of(model.placed)))) as pairs:
        loss = loss_under(model, weights, opened(model), batch("bert", seed=seed))
        (gradient,) = torch.autograd.grad(loss, weights)
    return gradient, dict(pairs)


@pytest.fixture(scope="module")
def model() -> GatedModel:
    backbone = build("bert")
    return GatedModel(backbone, place(space(TABLE), backbone), HEAD_NAMES)


@pytest.fixture(scope="module")
def frozen() -> list[dict[str, torch.Tensor]]:
    """The gradients of the same batches to the model's own weights, from a copy that trains all of them."""
    plain = build("bert").requires_grad_()
    found = []
    for seed in range(BATCHES):
        plain.zero_grad()
        plain(**batch("bert", seed=seed)).loss.backward()
        found.append({name: p.grad.clone() for name, p in plain.named_parameters() if p.grad is not None})
    return found


def test_scores_are_those_of_autograd(model, frozen):
    """BitFits and LNFits change biases and weights of the model, whose gradients autograd gives."""
    own = torch.stack([gradients(model, seed)[0] for seed in range(BATCHES)])
    taylor, fisher = Parts(model).taylor(own.mean(0)), Parts(model).fisher(own.square().mean(0))
    seen = 0
    for i, placed in enumerate(model.placed):
        kind = {"bitfit": "bias", "lnfit": "weight"}.get(placed.candidate.delta)
        if kind:
            g = torch.stack([one[f"{placed.candidate.module}.{kind}"] for one in frozen]).double()
            assert taylor[i].item() == pytest.approx(g.mean(0).abs().sum().item(), rel=1e-4, abs=1e-7)
            assert fisher[i].item() == pytest.approx(g.square().mean(0).sum().item(), rel=1e-4, abs=1e-9)
            seen += 1
    assert seen == 4 + 4
    assert all(taylor[i] == fisher[i] == 0 for i, p in enumerate(model.placed) if p.candidate.delta.startswith("lora"))


def test_a_smaller_alternative_is_scored_by_its_part(model):
    g = gradients(model, 0)[0]
    score = Parts(model).taylor(g)
    for i, placed in enumerate(model.placed):
        if placed.candidate.delta == "adapter(bottleneck=2)":
            largest = next(
                k for k, p in enumerate(model.placed)
                if p.candidate.module == placed.candidate.module and p.candidate.delta == "adapter(bottleneck=4)"
            )  # fmt: skip
            tensors = {
                s.name: t
                for s, t in zip(model.layout.slots, model.layout.tensors(g), strict=True)
                if s.owner == largest
            }
            expected = placed.delta.weights(placed.site)["up.bias"].rate * tensors["up.bias"].abs().sum()
            assert score[i].item() == pytest.approx(expected.item(), rel=1e-4)


def directions(reading: Reading, reach: Reach, batches: list, is_mean: bool = True) -> tuple:
    """The basis V, G V of the mean gradient, and the balanced directions with their squares, from batches of pairs."""
    left = probe(0, reading, reach.shape, reach.rank)
    v = basis(sum(probed(left, reach.shape[1], pairs) for pairs in batches))
    seen = [Moments.of(v, reach.shape[0], pairs) for pairs in batches]
    moved = sum(one.moved for one in seen) / len(seen)
    squares = moved.T @ moved if is_mean else sum(one.moved.T @ one.moved for one in seen) / len(seen)
    return v, moved, *balanced(squares, sum(one.second for one in seen) / sum(one.tokens for one in seen).clamp_min(1))


@pytest.mark.parametrize("is_mean", [True, False])
def test_directions_are_those_of_the_whole_gradient_where_the_basis_has_it(is_mean):
    """Gradients of rank 3 to a layer of 40 inputs, against a whitening of all of them; and they are balanced."""
    place_ = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(3):
        x = torch.randn(50, 3, generator=place_) @ torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
        batches.append(
            [(x[:20], torch.randn(20, 30, generator=place_)), (x[20:], torch.randn(30, 30, generator=place_))]
        )
    reading, reach = Reading("a", "a"), Reach(0, Reading("a", "a"), (30, 40), 2, 1.0, "")
    v, _, columns, squares = directions(reading, reach, batches, is_mean)
    rows = (v.double() @ columns[:, :2]).T
    read = torch.cat([x for pairs in batches for x, _ in pairs]).double() @ rows.T
    torch.testing.assert_close(read.T @ read / len(read), torch.eye(2).double(), rtol=0.02, atol=0.02)

    all_x = torch.cat([x for pairs in batches for x, _ in pairs]).double()
    whitening = torch.linalg.pinv(all_x, rtol=1e-5) * len(all_x) ** 0.5  # (40, n): C^(-1/2) up to a rotation
    g = torch.stack([sum(g.T @ x for x, g in pairs) for pairs in batches]).double()
    g = g.mean(0, keepdim=True) if is_mean else g
    expected = torch.linalg.eigvalsh((whitening.T @ g.mT @ g @ whitening).mean(0)).flip(0)
    torch.testing.assert_close(squares[:2], expected[:2], rtol=0.02, atol=0)


def test_a_tiny_linear_model_by_hand():
    """y = W x of one token: the gradient to W is t x^T. A x has size one, so the score is that of a bias, |t|_1."""
    layer = nn.Linear(3, 2, bias=False)
    x, t = torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([[3.0, -4.0]])
    reading, reach = Reading("a", "a"), Reach(0, Reading("a", "a"), (2, 3), 1, 1.0, "")
    with recorded(nn.ModuleDict({"a": layer}), [reading]) as pairs:
        (layer(x) * t).sum().backward()
    v, moved, columns, squares = directions(reading, reach, [pairs[reading]])
    assert reach.taylor(moved.double() @ columns).item() == pytest.approx(7, rel=0.01)
    assert reach.fisher(squares).item() == pytest.approx(25, rel=0.01)
    row = (v.double() @ columns[:, :1]).T.float()
    assert (x @ row.T).abs().item() == pytest.approx(1, rel=0.01)
    assert (x @ reach.first(row).T).abs().item() == pytest.approx(3**-0.5, rel=0.01)


def test_tokens_that_the_loss_does_not_read_do_not_count():
    x, g = torch.randn(6, 5), torch.randn(6, 4)
    g[3:] = 0
    whole, part = (Moments.of(torch.eye(5), 4, [pair]) for pair in ((x, g), (x[:3], g[:3])))
    for name in vars(part):
        torch.testing.assert_close(getattr(whole, name), getattr(part, name))


def test_a_module_that_no_pass_reached_has_no_score():
    reading, reach = Reading("a", "a"), Reach(0, Reading("a", "a"), (5, 4), 1, 1.0, "")
    _, moved, columns, squares = directions(reading, reach, [[]])
    assert reach.taylor(moved.double() @ columns) == reach.fisher(squares) == 0


TYPES = {
    "{attn,ffn}.*": ["lora(rank=1)", "lora(rank=4)", "bitfit"],
    "norm.*": ["lnfit", "bitfit"],
    "block.*": ["adapter(bottleneck=1)", "low-rank-adapter(reduction=4)"],
    "block.ffn": ["parallel-adapter(bottleneck=1)"],
}


class Stepped:
    """A network, the scores of its candidates, and what a true step of each does: by how much the loss falls."""

    SIZE = 1e-4

    def __init__(self, family: str) -> None:
        backbone, self.data = build(family).double(), batch(family)
        self.model = GatedModel(backbone, place(space(TYPES), backbone))
        weights = self.model.initial_weights(0).double().requires_grad_()
        self.reaches = widest(Reach.all_of(self.model.placed))
        with recorded(backbone, sorted(self.reaches)) as pairs:
            loss = loss_under(self.model, weights, opened(self.model), self.data)
            (gradient,) = torch.autograd.grad(loss, weights)
        self.scores, tensors = Parts(self.model).taylor(gradient), self.model.named(weights.detach())
        for reach in Reach.all_of(self.model.placed):
            v, moved, columns, _ = directions(reach.reading, self.reaches[reach.reading], [pairs[reach.reading]])
            self.scores[reach.number] += reach.taylor(moved.double() @ columns)
            if reach.start:
                tensors[reach.start] = reach.first((v.double() @ columns).T)
        self.weights = self.model.from_named(tensors).double()

    def decrease(self, number: int) -> float:
        """How much the loss falls in a balanced step of one candidate alone, per learning rate."""
        gates = torch.eye(len(self.model.placed), dtype=torch.float64)[number]
        leaf = self.weights.clone().requires_grad_()
        before = loss_under(self.model, leaf, gates, self.data)
        (gradient,) = torch.autograd.grad(before, leaf)
        with torch.no_grad():
            stepped = self.weights - self.SIZE * self.model.balanced() * gradient.sign()
            return (before - loss_under(self.model, stepped, gates, self.data)).item() / self.SIZE

    def ratios(self, kind: str) -> list[float]:
        """Of each candidate of a kind, what a true step does to what its score says; without those that do nothing."""
        numbers = [i for i, p in enumerate(self.model.placed) if p.candidate.delta.startswith(kind)]
        numbers = [i for i in numbers if self.scores[i] > 1e-6]  # a bias of keys: no softmax sees it
        return [self.decrease(i) / self.scores[i].item() for i in numbers]


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_scores_are_what_a_true_step_of_each_candidate_does(family):
    """A LoRA from the start that it is given: so scores of types compare with each other as true steps do."""
    network = Stepped(family)
    for kind in ("lora(rank=1)", "lora(rank=4)", "bitfit", "lnfit"):
        ratios = network.ratios(kind)
        assert len(ratios) >= 4
        assert all(0.97 < ratio < 1.03 for ratio in ratios), (kind, ratios)


def test_an_adapter_reaches_what_it_is_scored_by_when_its_first_half_has_turned():
    """Small numbers in the direction of the score in front of gelu, as training can make them: a step does as scored.

    Relu is not linear anywhere, and keeps the half of the tokens on which the direction points upwards.
    """
    network, seen = Stepped("bert"), 0
    tensors = network.model.named(network.weights)
    for number, placed in enumerate(network.model.placed):
        if placed.candidate.delta == "adapter(bottleneck=1)":
            name = f"{placed.candidate.module}/{placed.candidate.delta}"
            random = network.decrease(number)
            reach = next(r for r in Reach.all_of(network.model.placed) if r.number == number)
            with recorded(network.model.backbone, [reach.reading]) as pairs:
                leaf = network.weights.clone().requires_grad_()
                loss_under(network.model, leaf, opened(network.model), network.data).backward()
            v, _, columns, _ = directions(reach.reading, network.reaches[reach.reading], [pairs[reach.reading]])
            tensors[f"{name}/down.weight"] = 0.01 * placed.site.outputs**0.5 * (v.double() @ columns[:, :1]).T
            network.weights = network.model.from_named(tensors).double()
            assert network.decrease(number) / network.scores[number].item() == pytest.approx(1, abs=0.1)
            seen += random < network.decrease(number)
    assert seen == 4

"""What reading a prompt once for all labels saves: CPU seconds of ranking, against scoring label by label.

    python benchmarks/ranking.py [--labels 2 3 21] [--tokens 64] [--rows 8]

A Llama of random weights (8 layers, width 256; no download) ranks labels of two tokens after prompts of `--tokens`.
Both ways give the same likelihoods, which is checked; for each number of labels it says how many tokens of a row the
network read, and what a batch cost (the best of five, in turns). One JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from core.model.backbone import Backbone
from core.training.evaluate import label_likelihoods

VOCABULARY = 8192
ROUNDS = 5
EOS = 2


class Words:
    """A tokenizer of labels, which are numbers: two tokens each, and the end of text."""

    eos_token_id = EOS

    def __call__(self, texts: list[str], **options: Any) -> dict[str, list[list[int]]]:
        """The tokens of each label."""
        return {"input_ids": [[100 + int(text), 4000 + int(text)] for text in texts]}


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[2, 3, 21])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rows", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    backbone, batch = decoder(), questions(given.rows, given.tokens)
    rows = [measured(backbone, batch, [str(i) for i in range(count)]) for count in given.labels]
    print(
        json.dumps({"tokens": given.tokens, "rows": given.rows, "torch": torch.__version__, "labels": rows}, indent=1)
    )


def decoder() -> Backbone:
    """A decoder of random weights."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=688, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=1024,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).requires_grad_(False).eval()
    return Backbone(model, Words(), True, (), 0)


def questions(rows: int, tokens: int) -> dict[str, Tensor]:
    """Prompts of these sizes."""
    ids = torch.randint(10, VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def measured(backbone: Backbone, batch: dict[str, Tensor], labels: list[str]) -> dict[str, Any]:
    """Seconds and tokens of both ways for a batch, and how many times the one by one costs."""
    ways: dict[str, Callable[[], Tensor]] = {
        "once": lambda: label_likelihoods(backbone, labels, batch),
        "each": lambda: torch.stack([one_by_one(backbone, batch, label) for label in labels], -1),
    }
    torch.testing.assert_close(ways["once"](), ways["each"](), rtol=1e-3, atol=1e-3)
    tokens = {name: tokens_read(backbone.model, way) for name, way in ways.items()}
    seconds = {name: float("inf") for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - begin)
    ratio = round(seconds["each"] / seconds["once"], 2)
    rounded = {name: round(value, 4) for name, value in seconds.items()}
    return {"labels": len(labels), "cpu_seconds": rounded, "tokens_read": tokens, "each_over_once": ratio}


def one_by_one(backbone: Backbone, batch: dict[str, Tensor], label: str) -> Tensor:
    """The log-likelihood of a label after each prompt, in a pass of its own over both, with the logits of the label."""
    answer = torch.tensor([*backbone.tokenizer([label])["input_ids"][0], EOS]).expand(len(batch["input_ids"]), -1)
    ids = torch.cat([batch["input_ids"], answer], 1)
    model: Any = backbone.model
    with torch.inference_mode():
        logits = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=answer.shape[1]).logits
    return logits.float().log_softmax(-1).gather(-1, answer[..., None]).sum((1, 2))


def tokens_read(model: nn.Module, way: Callable[[], Tensor]) -> int:
    """The tokens of a row that go through the layers."""
    read: list[int] = []
    layer: Any = model.get_submodule("model.layers.0")
    handle = layer.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[1]))
    way()
    handle.remove()
    return sum(read)


if __name__ == "__main__":
    main()

"""The README.md of an export: a model card with the metadata header of the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.export.source import Source
from core.run.methods import method_of
from core.run.structure import Candidate

PROMPT = "prompt.txt"
MOST_CLASSES = 50  # named in a card
LIBRARIES = {"merged": "transformers", "peft": "peft"}
CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
}


def card(source: Source, kind: str, pipeline: str) -> str:
    """The text of the card; `pipeline` is the hub's name of the model's task."""
    from huggingface_hub import EvalResult, ModelCardData

    result = source.result
    task = _one_line(source.task)
    score = EvalResult(
        task_type=pipeline,
        dataset_type=task,
        dataset_name=task,
        metric_type=_one_line(str(result["metric"])),
        metric_value=result["score"],
    )
    header: Any = ModelCardData(
        base_model=_one_line(source.base) if source.is_on_hub else None,
        library_name=LIBRARIES.get(kind),
        pipeline_tag=pipeline,
        tags=["s3tui", "sparse-structure-search", "parameter-efficient-fine-tuning"],
        model_name=f"{task} ({kind})",
        eval_results=[score],
    )
    return f"---\n{header.to_yaml()}\n---\n\n{_body(source, kind, pipeline)}"


def _body(source: Source, kind: str, pipeline: str) -> str:
    result, base = source.result, _base_in_words(source)
    head = result["head_parameters"]
    facts = [
        ("Base model", base),
        ("Task", source.task),
        ("Score on the test split", _score(result)),
        ("Trained parameters", f"{result['parameters']:,} of {result['backbone_parameters']:,}"),
        ("New head", f"{head:,} parameters" if head else "none"),
        ("Method", f"{result['method']}, seed {result['seed']}"),
    ]
    if source.quantised:
        facts.append(("Weights", f"quantised in {source.quantised}, and trained on as they are de-quantised"))
    if source.classes:
        facts.append(("Classes", _classes(source.classes)))
    rows = "\n".join(f"| {key} | {_markdown(value)} |" for key, value in facts)
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"""# {_markdown(source.task)}: trained on {_markdown(base)}

{_origin(str(result["method"]))}

| | |
|---|---|
{rows}

## Load it

{_code(_loading(source, kind, CLASSES[pipeline]), "python")}
{_prompt(source)}
## What is trained

{_code(structure_map(source.structure.chosen))}

Made with {_markdown(versions)}.
"""


def _score(result: Mapping[str, Any]) -> str:
    """The score in points, with its standard error over the test rows where that is known."""
    error, rows = result.get("standard_error"), result.get("rows")
    sure = f"; standard error {100 * error:.2f} over {rows:,} rows" if error is not None and rows else ""
    return f"{result['metric']} {100 * result['score']:.2f} (x 100{sure})"


def _prompt(source: Source) -> str:
    """What the model reads. The text itself is in a file, as it may hold rows of the training data."""
    if not source.file.reading.prompt:
        return ""
    answer = "the head answers on its last token" if source.has_head else "the answer follows"
    return f"\nIt was trained on the prompt in `{PROMPT}`, in which texts stand for the names in braces; {answer}.\n"


def _one_line(text: str) -> str:
    """A name made printable: file names may contain line ends, control characters and invalid UTF-8."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _markdown(text: str) -> str:
    """The text escaped for Markdown: no character starts markup, a table cell or HTML."""
    return re.sub(r"([\\`*_\[\]<>|&#~$])", r"\\\1", _one_line(text))


def _code(text: str, language: str = "") -> str:
    """A fenced code block, whose fence is longer than any run of backticks in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _origin(method: str) -> str:
    """A sentence on how the structure was chosen, with the publication of the method."""
    row = method_of(method)
    named = f"{row.title or row.name} ({row.source})" if row.source else row.title or row.name
    if row.searches:
        return f"Which few parameters to train was found with s3tui by {named}."
    return f"Trained with s3tui{f' by {named}' if row.source else ''}; what is trained was not searched."


def _base_in_words(source: Source) -> str:
    return source.base if source.is_on_hub else f"the {source.local} {Path(source.base).name}"


def _classes(labels: Sequence[str]) -> str:
    """The outputs of the head with their class names, at most MOST_CLASSES of them."""
    named = ", ".join(f"{i} = {label}" for i, label in enumerate(labels[:MOST_CLASSES]))
    return f"{named}, ..." if len(labels) > MOST_CLASSES else named


def _loading(source: Source, kind: str, name: str) -> str:
    """The Python code that loads the export; DIR stands for its folder."""
    outputs = f", num_labels={source.file.outputs}" if source.has_head else ""
    if kind == "peft" and source.has_head:
        outputs = ', config=AutoConfig.from_pretrained("DIR")'  # which has the names of the classes
    base = json.dumps(source.base if source.is_on_hub else Path(source.base).name)  # a string of Python too
    if kind == "merged":
        return f'from transformers import {name}\n\nmodel = {name}.from_pretrained("DIR")'
    names = f"AutoConfig, {name}" if "AutoConfig" in outputs else name
    lines = [f"from transformers import {names}", "", f"model = {name}.from_pretrained({base}{outputs})"]
    if kind == "peft":
        return "\n".join(["from peft import PeftModel", *lines, 'model = PeftModel.from_pretrained(model, "DIR")'])
    return "\n".join(["import core  # of s3tui, which made this folder", *lines, 'core.load_delta(model, "DIR")'])


def structure_map(chosen: tuple[Candidate, ...]) -> str:
    """A text map: deltas at sites as rows, layers as columns, # for each trained candidate."""
    if not chosen:
        return "nothing but the head, or all of the model"
    rows = list(dict.fromkeys((_one_line(c.site), _one_line(c.delta)) for c in chosen))
    columns = sorted({(c.stack != "encoder", -1 if c.layer is None else c.layer, c.stack) for c in chosen})
    trained = {((_one_line(c.site), _one_line(c.delta)), (c.stack, -1 if c.layer is None else c.layer)) for c in chosen}
    names = [(stack[:1].upper() or "-") + ("" if layer < 0 else str(layer)) for _, layer, stack in columns]
    left = max(len(f"{site} {delta}") for site, delta in rows)
    lines = [" " * left + "".join(f" {name:>3}" for name in names)]
    for row in rows:
        marks = ("#" if (row, (stack, layer)) in trained else "." for _, layer, stack in columns)
        lines.append(f"{' '.join(row):{left}}" + "".join(f" {mark:>3}" for mark in marks))
    return "\n".join(lines)

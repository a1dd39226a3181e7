"""Finished runs to be drawn and written up."""

from dataclasses import asdict

from stand_in import result

from core.run.events import Data, Eval, EventWriter, Finished, Gates, Phase, Space, Started, Step, StructureChosen
from core.run.rundir import RunDir, write_json
from core.run.structure import Candidate, Structure

STEPS = 60
SPACE = tuple(
    Candidate("attn.q", "encoder", layer, f"layer.{layer}.q", delta, n)
    for layer in range(3)
    for delta, n in (("lora(rank=1)", 64), ("bitfit", 32))
)


def make(workspace, name, seed=0, task="rte", method="s3", score=0.5, **spec):
    """A finished run that has told of a search and a retraining."""
    directory = RunDir(workspace / name)
    settings = {"task": {"name": task}, "model": "m", "method": method, "seed": seed} | spec
    directory.create(settings)
    selected = (seed % 3, 4)
    p = tuple(0.9 if i in selected else 0.1 for i in range(6))
    writer = EventWriter(directory.events)
    writer.write(Started("0", 1, 1, "cpu", "fp32", {}))
    writer.write(
        Data({"train": 80, "validation": 10, "test": 9}, ["0", "1"], {"have an empty 'text'": 5}, [f"{task}: read"])
    )
    writer.write(Space([asdict(c) for c in SPACE], 288, 10_000, 0, 128))
    writer.write(Phase("search", STEPS))
    for step in range(1, STEPS + 1):
        writer.write(
            Step("search", step, 3.0 / step + seed, 1.0, 1e-3, validation_loss=4.0 / step, expected=128.0,
                 sampled=200.0, selected=96, shift=0.0)
        )  # fmt: skip
        writer.write(Gates(step, [0.5 + (v - 0.5) * step / STEPS for v in p]))
    writer.write(StructureChosen(list(selected), 96))
    writer.write(Phase("retrain", STEPS))
    for step in range(1, STEPS + 1):
        writer.write(Step("retrain", step, 2.0 / step, 1.0, 1e-3))
    writer.write(Eval("retrain", STEPS, "validation", {"accuracy": score}, True))
    write_json(directory.structure, Structure(SPACE, p, selected, 128, "m").to_json())
    write_json(directory.result, result(settings, score, task=task, parameters=96))
    writer.write(Finished(score, {"accuracy": score}, 1.0))

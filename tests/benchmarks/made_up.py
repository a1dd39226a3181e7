"""Evidence as benchmarks/collect.py leaves it, of scores that a test makes up."""

from collect import digest, settings_of
from evidence import Evidence, rate

NAMES = ["E0.attn.q lora(rank=1)", "E0.attn.q bitfit", "E1.norm.ffn lnfit", "E1.norm.ffn bitfit"]


def table(*runs, more=None):
    """A task's file of runs `(arm, rate, seed, validation at half, at the end, test)`; `more` are settings of all."""
    found = {"metric": "accuracy", "constant": 0.5, "spaces": {}, "arms": {}, "runs": []}
    for arm, value, seed, half, end, test in runs:
        spec = arm.changed(rate(value)).spec()
        known = digest(spec.space.name)
        found["spaces"][known] = {"name": spec.space.name, "candidates": NAMES}
        about = {"method": arm.method, "space": known, "settings": settings_of(spec) | (more or {})}
        found["arms"][digest(about)] = about
        run = {"arm": digest(about), "seed": seed, "precision": arm.precision, "validation": end, "test": test}
        curve = [["search", 75, 0.1], ["retrain", 150, half], ["retrain", 300, end]]
        seconds = {"search": 10, "retrain": 20}
        found["runs"].append(run | {"curve": curve, "selected": [seed % 4, 2], "seconds": seconds, "trained": 9})
    return found


def evidence(*runs, task="sst2", more=None):
    """The same as what tables are drawn from."""
    return Evidence({task: table(*runs, more=more)})

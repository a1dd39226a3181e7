"""`python -m core.precision`: what `precision = "auto"` is on this machine, and why, as JSON.

`{"device": "cpu", "precision": "fp32", "reason": "..."}`: for the device that `device = "auto"` takes.
"""

from __future__ import annotations

import json

from core.runtime.device import auto_precision, resolve_device


def main() -> None:
    """Print the answer."""
    device = resolve_device("auto")
    precision, reason = auto_precision(device)
    print(json.dumps({"device": str(device), "precision": precision, "reason": reason}))


if __name__ == "__main__":
    main()

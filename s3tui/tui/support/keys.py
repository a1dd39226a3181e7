"""Key bindings with descriptions, from which footer, help and command palette are made."""

from __future__ import annotations

from textual.binding import Binding

NAMES = {"slash": "/", "question_mark": "?", "exclamation_mark": "!", "plus": "+", "minus": "-", "colon": ":"}
# The tasks by which the help lists keys, in its order.
SHOW, RUNS, FIND, PLACES, APP = "What is shown", "Runs and the queue", "Move and find", "Tabs and screens", "The app"
TASKS = (SHOW, RUNS, FIND, PLACES, APP)


MOVES = "moves"  # the task of keys that have no place in the palette


def key(keys: str, action: str, name: str, about: str = "", footer: bool = False, task: str = SHOW) -> Binding:
    """A binding: `name` is shown in the footer and the palette, `about` in the help, under its `task`."""
    return Binding(keys, action, name, footer, NAMES.get(keys), tooltip=about or name, id=f"{task}: {action}")


def move(keys: str, action: str, name: str) -> Binding:
    """A key that moves within a list: the help lists it, the palette does not."""
    return Binding(keys, action, name, show=False, id=f"{MOVES}: {action}")


def task_of(binding: Binding) -> str:
    """The task under which the help lists a binding; empty for those that are not ours."""
    task = (binding.id or "").partition(":")[0]
    return FIND if task == MOVES else task


def is_in_palette(binding: Binding) -> bool:
    """Whether the palette lists a binding."""
    return task_of(binding) in TASKS and not (binding.id or "").startswith(MOVES)

"""Text from files and logs, made safe to show: no escape sequence of it ever reaches a terminal."""

from __future__ import annotations

import re

LIMIT = 2000  # characters; a longer text is cut, so that one line of a log cannot fill a screen

# CSI sequences, then the string sequences OSC, DCS, SOS, PM and APC up to their end, then any other escape.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0, C1, line separators, bidirectional controls, and halves of surrogate pairs, which cannot be encoded.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """The text on one line, without escape sequences, other controls shown as a replacement character."""
    text = _SEQUENCE.sub("", text).replace("\t", " ").replace("\n", " ")
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"

"""Sanitises text from files and logs, so that no escape sequence in it reaches a terminal."""

from __future__ import annotations

import re

LIMIT = 2000  # characters; longer texts are truncated, so that one line of a log cannot fill a screen

# CSI sequences, then the string sequences OSC, DCS, SOS, PM and APC up to their end, then any other escape.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C1, line separators, bidirectional controls, halves of surrogate pairs, which cannot be encoded, what no XML holds.
_OTHERS = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
_CONTROL = re.compile(f"[\x00-\x1f{_OTHERS}]")
# What a terminal is given may have lines and tabs, and where it is ours, colours (SGR).
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f{_OTHERS}]")
_COLOUR_OR_UNSAFE = re.compile(f"(\x1b\\[[0-9;]{{0,64}}m)|{_UNSAFE.pattern}")


def clean(text: str) -> str:
    """The text on one line, without escape sequences, other control characters shown as a replacement character."""
    text = _SEQUENCE.sub("", text).replace("\t", " ").replace("\n", " ")
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"


def harmless(text: str, colours: bool = False) -> str:
    """The text with control characters replaced, except line ends and tabs, and with `colours` colour sequences."""
    if colours:
        return _COLOUR_OR_UNSAFE.sub(lambda found: found[1] or "\N{REPLACEMENT CHARACTER}", text)
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)

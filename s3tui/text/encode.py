"""Text as bytes, as it leaves the program: no text of a record and no name of a file ends in a UnicodeEncodeError."""

from __future__ import annotations

import codecs

AS_TEXT = "s3tui.as-text"  # how `str.encode` and streams treat what an encoding lacks


def _as_text(error: UnicodeError) -> tuple[str | bytes, int]:
    """A byte of a file name that is no UTF-8 stays that byte, anything else becomes a replacement character.

    Python holds such bytes as U+DC80 to U+DCFF. Other halves of surrogate pairs come from JSON (`"\\ud800"`), and stand
    for nothing that a text can hold.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return b"".join(_byte_or_mark(character, error.encoding) for character in found), error.end


def _byte_or_mark(character: str, encoding: str) -> bytes:
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00])
    return "\N{REPLACEMENT CHARACTER}".encode(encoding, "replace")  # `?` where the encoding has none


codecs.register_error(AS_TEXT, _as_text)

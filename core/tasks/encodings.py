"""Detects the encoding of a text file: by its byte order mark, as UTF-8, or from its bytes."""

from __future__ import annotations

import codecs
from pathlib import Path

from core.run.errors import DataError
from core.tasks.opening import BLOCK_BYTES, opened

UTF8 = "utf-8-sig"
# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
# Encodings that spreadsheets write beside Unicode, the most frequent first: of equally good ones the first is taken.
OTHERS = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp932", "gb18030", "big5",
          "euc_kr"]  # fmt: skip
SAMPLE_BYTES = 1 << 16


def encoding_of(path: Path) -> str:
    """The encoding of a text file; raises DataError if it cannot be detected.

    A file that is not UTF-8 is read in another encoding only if everything before the first invalid byte is ASCII: a
    file with UTF-8 characters before it is damaged, and no encoding would read all of it correctly.
    """
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    with opened(path) as file:
        block = file.read(BLOCK_BYTES)
        for mark, name in MARKS:
            if block.startswith(mark):
                return name
        while block:
            try:
                is_ascii &= decoder.decode(block).isascii()
            except UnicodeDecodeError as error:
                # A character that is split between blocks begins in the block before.
                start = max(0, error.start - (len(error.object) - len(block)))
                if not (is_ascii and block[:start].isascii()) or b"\0" in block:
                    return UTF8  # reading the lines reports the one at fault
                return _guessed(path, block[start:] + file.read(SAMPLE_BYTES))
            block = file.read(BLOCK_BYTES)
    return UTF8


def _guessed(path: Path, data: bytes) -> str:
    """The most likely encoding of bytes that are not UTF-8."""
    from charset_normalizer import from_bytes

    # One by one, as it leaves out encodings that it considers too similar to another.
    tried = [from_bytes(data[:SAMPLE_BYTES], cp_isolation=[name], threshold=0.5).best() for name in OTHERS]
    found = [match for match in tried if match is not None]
    if not found:
        raise DataError(
            f"{path} is not in UTF-8, and its encoding cannot be detected",
            'save it in UTF-8, or name it, as in encoding = "cp1252"',
        )
    # Rounded, as finer differences mean nothing for short texts; of equals the first.
    best = min(found, key=lambda match: (round(match.chaos, 1), -round(match.coherence, 1)))
    return str(best.encoding)

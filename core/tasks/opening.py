"""The bytes of a data file, uncompressed where its name ends in .gz, and never more of them than can be held."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from core.run.datapath import LARGEST_FILE, check_data_path
from core.run.errors import DataError

COMPRESSED = ".gz"
BLOCK_BYTES = 1 << 20


def ending(path: Path) -> str:
    """What the name of a file says about its kind: the ending in lower case, without .gz."""
    return Path(_plain(path)).suffix.lower()


def title(path: Path) -> str:
    """The name of a file without its endings."""
    return Path(_plain(path)).stem


def _plain(path: Path) -> str:
    return path.name[: -len(COMPRESSED)] if _is_compressed(path) else path.name


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(COMPRESSED)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes, to be read from the start on; raises DataError where they cannot be had, or are too many."""
    check_data_path(path)
    with path.open("rb") as raw:
        if not _is_compressed(path):
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as inner, _Limited(path, inner) as limited:
                yield cast(BinaryIO, io.BufferedReader(limited, BLOCK_BYTES))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path} is damaged: {error}", "compress the file again") from None


@contextlib.contextmanager
def seekable(path: Path) -> Iterator[BinaryIO]:
    """The same with any place of it to be read; what is compressed is unpacked into a file that is deleted after."""
    if not _is_compressed(path):
        with opened(path) as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        with opened(path) as file:
            shutil.copyfileobj(file, copy, BLOCK_BYTES)
        copy.seek(0)
        yield cast(BinaryIO, copy)


class _Limited(io.RawIOBase):
    """What a compressed file stands for, up to LARGEST_FILE: a small one can stand for any amount."""

    def __init__(self, path: Path, inner: gzip.GzipFile) -> None:
        super().__init__()
        self._path, self._inner, self._count = path, inner, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        self._count += len(data)
        if self._count > LARGEST_FILE:
            raise DataError(
                f"{self._path} has more than {LARGEST_FILE:,} bytes once it is unpacked", "take a part of the rows"
            )
        buffer[: len(data)] = data
        return len(data)

"""Opens data files, decompressing those that end in .gz, with a limit on the size."""

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
    """The extension of a file in lower case, without .gz."""
    return Path(_plain(path)).suffix.lower()


def title(path: Path) -> str:
    """The name of a file without its extensions."""
    return Path(_plain(path)).stem


def _plain(path: Path) -> str:
    return path.name[: -len(COMPRESSED)] if _is_compressed(path) else path.name


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(COMPRESSED)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for sequential reading; raises DataError if it cannot be decompressed or is too large."""
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
    """Open a file for random access; a compressed one is unpacked into a temporary file. Raises as `opened`."""
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
    """The decompressed bytes of a file, up to LARGEST_FILE, as a small file can expand to any size."""

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

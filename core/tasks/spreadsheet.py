"""Reading of the first sheet of an xlsx file."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from core.run.datapath import LARGEST_FILE
from core.run.errors import DataError
from core.tasks.content import MOST_ROWS, Content, Layout, check_names, no_rows, too_many_rows
from core.tasks.faults import Faults
from core.tasks.opening import seekable


def read_xlsx(path: Path, wanted: Sequence[str], layout: Layout) -> Content:
    """Read the columns of these names, formulas as last computed; raises DataError if a column is missing."""
    with _sheet(path) as cells:
        header = [_name(cell) for cell in next(cells, ())]
        while header and not header[-1]:
            header.pop()
        if not header:
            raise no_rows(path)
        check_names(str(path), wanted, header)
        places = {name: header.index(name) for name in wanted}
        columns: dict[str, list[Any]] = {name: [] for name in wanted}
        numbers: list[int] = []
        for number, row in enumerate(cells, 2):
            if any(cell is not None for cell in row):
                for name, place in places.items():
                    columns[name].append(row[place] if place < len(row) else None)
                numbers.append(number)
            if len(numbers) > MOST_ROWS:
                raise too_many_rows(path)
    if not numbers:
        raise no_rows(path)
    return Content(str(path), columns, numbers, header, Faults(str(path), "row"))


def _name(cell: Any) -> str:
    return "" if cell is None else str(cell)


@contextlib.contextmanager
def _sheet(path: Path) -> Iterator[Iterator[tuple[Any, ...]]]:
    """The rows of the first sheet; all errors of openpyxl become DataErrors of one line."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(f"{path}: xlsx files need the package openpyxl", "pip install 's3tui[xlsx]'") from None
    with seekable(path) as file:
        _check_size(path, file)
        try:
            book = load_workbook(file, read_only=True, data_only=True)
            yield iter(book.worksheets[0].iter_rows(values_only=True))
        except (DataError, GeneratorExit, KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # damaged files raise many types
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path} cannot be read: {reason:.300}", "is it a whole xlsx file?") from None


def _check_size(path: Path, file: BinaryIO) -> None:
    """Raise DataError if the parts of the zip file are too large; no more than the stated sizes is unpacked."""
    try:
        with zipfile.ZipFile(file) as parts:
            size = sum(part.file_size for part in parts.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "is it a whole xlsx file?") from None
    if size > LARGEST_FILE:
        raise DataError(f"{path} has {size:,} bytes once it is unpacked", "take a part of the rows")
    file.seek(0)

"""Reading of parquet files, and of Arrow files and streams (Feather is the same format)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from core.run.datapath import LARGEST_FILE
from core.run.errors import DataError
from core.tasks.content import MOST_ROWS, Content, Layout, check_names, no_rows, too_many_rows
from core.tasks.faults import Faults
from core.tasks.opening import seekable

BATCH_ROWS = 200
FILE_BEGINS_WITH = b"ARROW1"  # and a stream does not

# The names of all columns, and the batches with the wanted ones.
Batches = tuple[list[str], Iterator[Any]]


def read_parquet(path: Path, wanted: Sequence[str], layout: Layout) -> Content:
    """Read the columns of these names; raises DataError if the file is damaged or not a parquet file."""
    return _read(path, wanted, _parquet, "a whole parquet file")


def read_arrow(path: Path, wanted: Sequence[str], layout: Layout) -> Content:
    """Read the columns of these names of an Arrow or Feather file; errors as in `read_parquet`."""
    return _read(path, wanted, _arrow, "a whole Arrow file")


def _read(
    path: Path, wanted: Sequence[str], batches: Callable[[Path, BinaryIO, Sequence[str]], Batches], what: str
) -> Content:
    import pyarrow  # type: ignore[import-untyped]

    try:
        # An open file and not its name, which pyarrow could interpret as a URL.
        with seekable(path) as file:
            names, found = batches(path, file, wanted)
            columns, rows = _columns(path, wanted, found)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read: {reason:.300}", f"is it {what}?") from None
    if not rows:
        raise no_rows(path)
    return Content(str(path), columns, range(1, rows + 1), names, Faults(str(path), "row"))


def _parquet(path: Path, file: BinaryIO, wanted: Sequence[str]) -> Batches:
    import pyarrow.parquet  # type: ignore[import-untyped]

    parquet = pyarrow.parquet.ParquetFile(file)
    names = parquet.schema_arrow.names
    check_names(str(path), wanted, names)
    if parquet.metadata.num_rows > MOST_ROWS:
        raise too_many_rows(path)
    return names, parquet.iter_batches(BATCH_ROWS, columns=list(wanted))


def _arrow(path: Path, file: BinaryIO, wanted: Sequence[str]) -> Batches:
    import pyarrow.ipc  # type: ignore[import-untyped]

    is_file = file.read(len(FILE_BEGINS_WITH)) == FILE_BEGINS_WITH
    file.seek(0)
    reader = pyarrow.ipc.open_file(file) if is_file else pyarrow.ipc.open_stream(file)
    names = reader.schema.names
    check_names(str(path), wanted, names)
    read = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else iter(reader)
    whole = (_checked(batch) for batch in read)
    parts = (batch.slice(start, BATCH_ROWS) for batch in whole for start in range(0, batch.num_rows, BATCH_ROWS))
    return names, (batch.select(list(wanted)) for batch in parts)


def _checked(batch: Any) -> Any:
    """The batch, with its offsets checked to lie within its data: by default Arrow trusts those of a file."""
    batch.validate(full=True)
    return batch


def _columns(path: Path, wanted: Sequence[str], batches: Iterator[Any]) -> tuple[dict[str, list[Any]], int]:
    """The columns and their length, read in chunks with a limit, as a small file can expand to any amount of text."""
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    size = rows = 0
    for batch in batches:
        size, rows = size + batch.nbytes, rows + batch.num_rows
        if size > LARGEST_FILE:
            raise DataError(f"{path} holds more than {LARGEST_FILE:,} bytes of text", "take a part of the rows")
        if rows > MOST_ROWS:
            raise too_many_rows(path)
        for name, column in columns.items():
            column += _values(batch.column(name))
    return columns, rows


def _values(array: Any) -> list[Any]:
    """The values of a column; those of a dictionary-encoded column are created once and shared."""
    import pyarrow

    if not isinstance(array, pyarrow.DictionaryArray):
        return list(array.to_pylist())
    values = array.dictionary.to_pylist()
    return [None if i is None else values[i] for i in array.indices.to_pylist()]

"""Reading of parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.run.datapath import LARGEST_FILE, check_data_path
from core.run.errors import DataError
from core.tasks.content import MOST_ROWS, Content, check_names, no_rows, too_many_rows

BATCH_ROWS = 200


def read_parquet(path: Path, wanted: Sequence[str]) -> Content:
    """Read the columns of these names; raises DataError if the file is damaged or not a parquet file."""
    import pyarrow  # type: ignore[import-untyped]

    check_data_path(path)
    try:
        columns = _columns(path, wanted)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read: {reason:.300}", "is it a whole parquet file?") from None
    numbers = range(1, len(columns[wanted[0]]) + 1)
    if not numbers:
        raise no_rows(path)
    return Content(str(path), columns, "row", numbers)


def _columns(path: Path, wanted: Sequence[str]) -> dict[str, list[Any]]:
    """The columns, read in chunks with a limit, as a small compressed file can expand to any amount of text."""
    import pyarrow.parquet  # type: ignore[import-untyped]

    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    size = 0
    # An open file and not its name, which pyarrow could interpret as a URL.
    with path.open("rb") as file, pyarrow.parquet.ParquetFile(file) as parquet:
        check_names(str(path), wanted, parquet.schema_arrow.names)
        if parquet.metadata.num_rows > MOST_ROWS:
            raise too_many_rows(path)
        for batch in parquet.iter_batches(BATCH_ROWS, columns=list(wanted)):
            size += batch.nbytes
            if size > LARGEST_FILE:
                raise DataError(f"{path} holds more than {LARGEST_FILE:,} bytes of text", "take a part of the rows")
            for name, column in columns.items():
                column += _values(batch.column(name))
    return columns


def _values(array: Any) -> list[Any]:
    """The values of a column; those of a dictionary-encoded column are created once and shared."""
    import pyarrow

    if not isinstance(array, pyarrow.DictionaryArray):
        return list(array.to_pylist())
    values = array.dictionary.to_pylist()
    return [None if i is None else values[i] for i in array.indices.to_pylist()]

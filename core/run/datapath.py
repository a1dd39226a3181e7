"""Checks that the path of a task's data is a regular file of limited size, or a folder."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from core.run.errors import DataError

# All rows are held in memory, at several times the size of the file.
LARGEST_FILE = 4 * 2**30

SPECIAL = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_data_path(path: Path, folder: bool = False) -> None:
    """Raise DataError unless the path is a regular file of a readable size or, if `folder`, a folder.

    Reading a pipe could block for ever and reading a device may never end, so neither is opened.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise _not_there(path, error) from None
    if stat.S_ISREG(found.st_mode):
        if found.st_size > LARGEST_FILE:
            raise DataError(
                f"{path} has {found.st_size:,} bytes",
                f"a data file has at most {LARGEST_FILE:,}; take a part of the rows",
            )
    elif not (folder and stat.S_ISDIR(found.st_mode)):
        kind = SPECIAL.get(stat.S_IFMT(found.st_mode), "a special file")
        raise DataError(f"{path} is {kind}, not a regular file", "copy the data into a file")


def _not_there(path: Path, error: OSError | ValueError) -> DataError:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ELOOP:
        return DataError(f"{path} is a loop of symbolic links", "link to a file that exists")
    if code in (errno.ENOENT, errno.ENOTDIR, None):
        return DataError(f"there is no file or folder {path}", "check `path` of the task")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return DataError(f"{path} cannot be read: {reason}", "check `path` of the task")

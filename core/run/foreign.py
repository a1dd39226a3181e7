"""The boundary to other people's code: whatever it raises on the files of a model becomes one line about that model."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from core.run.errors import ModelError, S3Error

LONGEST_REASON = 300  # characters
# How torch says that the host has no memory left: it raises a plain RuntimeError.
EXHAUSTED = ("DefaultCPUAllocator", "Cannot allocate memory")


@contextmanager
def foreign(message: str, hint: str = "") -> Iterator[None]:
    """Inside, whatever is raised is a ModelError of this message; without a hint, the reason in one line is the hint.

    Our own errors, an interrupt, and memory that is exhausted pass as they are. Only what reads or runs the work of
    somebody else belongs in here: a fault of our own would look like one of the model's.
    """
    try:
        yield
    except (S3Error, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic in Rust, where tokenizers and safetensors come from, is no Exception
        if is_out_of_memory(error):
            raise
        raise ModelError(message, hint or reason(error)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the host or of a GPU is exhausted."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # That of torch is known by its name, as nothing here may wait for torch.
    if isinstance(error, MemoryError) or any(cls.__name__ == "OutOfMemoryError" for cls in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in EXHAUSTED)


def reason(error: BaseException) -> str:
    """What an exception says, in one line of limited length."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    if len(words) > LONGEST_REASON:
        words = words[:LONGEST_REASON].rstrip() + " ..."
    kind = type(error).__name__
    return words if isinstance(error, OSError | ValueError) and words else f"{kind}: {words}" if words else kind

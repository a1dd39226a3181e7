"""The boundary to third-party code: any exception that it raises on a model's files becomes a one-line ModelError."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from core.run.errors import ModelError, S3Error

LONGEST_REASON = 300  # characters
# Messages of the plain RuntimeError that torch raises when the host has no memory left.
EXHAUSTED = ("DefaultCPUAllocator", "Cannot allocate memory")


@contextmanager
def foreign(message: str, hint: str = "") -> Iterator[None]:
    """Turn any exception of the body into a ModelError with this message; the default hint is the reason in one line.

    S3Error, KeyboardInterrupt and out-of-memory errors pass unchanged. Only calls into third-party code or files belong
    in the body: a bug of ours would look like a fault of the model.
    """
    try:
        yield
    except (S3Error, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Rust code (tokenizers, safetensors) is not an Exception
        if is_out_of_memory(error):
            raise
        raise ModelError(message, hint or reason(error)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the host or of a GPU is exhausted."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # That of torch is recognised by its name, so that torch need not be imported.
    if isinstance(error, MemoryError) or any(cls.__name__ == "OutOfMemoryError" for cls in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in EXHAUSTED)


def reason(error: BaseException) -> str:
    """The message of an exception, in one line of limited length."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    if len(words) > LONGEST_REASON:
        words = words[:LONGEST_REASON].rstrip() + " ..."
    kind = type(error).__name__
    return words if isinstance(error, OSError | ValueError) and words else f"{kind}: {words}" if words else kind

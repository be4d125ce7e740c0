"""The source of a file: a path, or a descriptor that another process opened.

A confined decoder cannot open files, so it inherits an open one. Each reader has a separate offset
in it.
"""

import io
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class OpenableFile(Protocol):
    """A file that can be opened repeatedly; a `pathlib.Path` is one."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Open it at its beginning."""
        ...


@dataclass(frozen=True)
class OpenFile:
    """The file behind a descriptor, which stays open. A confined process cannot query its size."""

    descriptor: int
    size: int  # bytes

    @classmethod
    def of(cls, descriptor: int) -> "OpenFile":
        """Return the file with its current size."""
        return cls(descriptor, os.fstat(descriptor).st_size)

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:  # noqa: ARG002  # the signature of `Path.open`
        """Open it at its beginning."""
        return io.BufferedReader(_Reader(self), 1 << 16)


class _Reader(io.RawIOBase):
    """Reads a descriptor without moving its offset."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into the buffer, up to the end of the file."""
        read = os.preadv(self._file.descriptor, [buffer], self._offset)
        self._offset += read
        return read

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the offset. Raises OSError before the beginning of the file."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._file.size}[whence]
        if origin + offset < 0:
            raise OSError(22, "an offset before the beginning")
        self._offset = origin + offset
        return self._offset

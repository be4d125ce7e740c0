"""What a file is read from: a path, or a descriptor that another process opened.

A confined decoder can open nothing, so it is given its file open. Each reader has an offset of its own there.
"""

import io
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Source(Protocol):
    """A file that may be opened again and again; a `pathlib.Path` is one."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Open it, at its beginning."""
        ...


@dataclass(frozen=True)
class OpenFile:
    """The file behind a descriptor, which stays open. A confined process cannot ask for its size."""

    descriptor: int
    size: int  # bytes

    @classmethod
    def of(cls, descriptor: int) -> "OpenFile":
        """Return the file as large as it is now."""
        return cls(descriptor, os.fstat(descriptor).st_size)

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:  # noqa: ARG002  # as a path is opened
        """Open it, at its beginning."""
        return io.BufferedReader(_Reader(self), 1 << 16)


class _Reader(io.RawIOBase):
    """Reads a descriptor without moving its offset."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer as far as the file goes."""
        read = os.preadv(self._file.descriptor, [buffer], self._offset)
        self._offset += read
        return read

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to an offset. Raises OSError before the file's beginning."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._file.size}[whence]
        if origin + offset < 0:
            raise OSError(22, "an offset before the beginning")
        self._offset = origin + offset
        return self._offset

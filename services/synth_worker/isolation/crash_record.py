"""What the engine works on at this moment, in memory that outlives its process.

Written before every step and read only after a death: no message could be sent by a process that is killed in a step.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_MOST: Final = 1023
BYTES: Final = 8 * (_MOST + 1)


class CrashRecord:
    """Numbers of the sentences or calls in work, in a shared file of `BYTES` bytes."""

    def __init__(self, file: int) -> None:
        """Map an open file."""
        self._memory = mmap.mmap(file, BYTES)

    @contextmanager
    def of(self, numbers: Sequence[int]) -> Iterator[None]:
        """Note what is in work while the block runs; only the first thousand or so of them."""
        noted = numbers[:_MOST]
        struct.pack_into(f"<{len(noted)}Q", self._memory, 8, *noted)
        struct.pack_into("<Q", self._memory, 0, len(noted))
        try:
            yield
        finally:
            struct.pack_into("<Q", self._memory, 0, 0)

    def read(self) -> set[int]:
        """Return what was in work when the writer died; empty where it was between two things."""
        [count] = struct.unpack_from("<Q", self._memory, 0)
        return set(struct.unpack_from(f"<{count}Q", self._memory, 8))

    def clear(self) -> None:
        """Forget it, before the next writer starts."""
        struct.pack_into("<Q", self._memory, 0, 0)

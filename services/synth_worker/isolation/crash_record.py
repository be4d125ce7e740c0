"""Numbers of the sentences in the engine's current step, in memory that outlives the engine process.

The engine process writes it before every step; the supervisor reads it only after a crash. A process that is killed in
the middle of a step could not send a message.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_MAX_NUMBERS: Final = 1023
BYTES: Final = 8 * (_MAX_NUMBERS + 1)


class CrashRecord:
    """Numbers of the sentences or calls that the engine is computing, in a shared file of `BYTES` bytes.

    Layout: the count, then the numbers, each an unsigned 64-bit little-endian integer.
    """

    def __init__(self, file: int) -> None:
        """Map the open file with this descriptor."""
        self._memory = mmap.mmap(file, BYTES)

    @contextmanager
    def of(self, numbers: Sequence[int]) -> Iterator[None]:
        """Record these numbers while the block runs; only the first 1,023 of them."""
        recorded = numbers[:_MAX_NUMBERS]
        struct.pack_into(f"<{len(recorded)}Q", self._memory, 8, *recorded)
        struct.pack_into("<Q", self._memory, 0, len(recorded))

        try:
            yield
        finally:
            struct.pack_into("<Q", self._memory, 0, 0)

    def read(self) -> set[int]:
        """Return the numbers that were recorded when the writer died; empty if it was between two steps."""
        [count] = struct.unpack_from("<Q", self._memory, 0)
        return set(struct.unpack_from(f"<{count}Q", self._memory, 8))

    def clear(self) -> None:
        """Reset the record before the next engine process starts."""
        struct.pack_into("<Q", self._memory, 0, 0)

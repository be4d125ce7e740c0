"""A memory limit that a child process sets for itself, and the exit statuses that report it."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Python's own MemoryError; or, when an allocation fails, native libraries abort or use the null pointer.
OUT_OF_MEMORY: Final = frozenset({errno.ENOMEM, -signal.SIGABRT, -signal.SIGSEGV})


@contextmanager
def memory_limit(max_bytes: int) -> Iterator[None]:
    """Limit this process's address space, for good, and exit with ENOMEM on a MemoryError.

    To be entered first in a child process that computes one result.
    """
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    try:
        yield
    except MemoryError:
        os._exit(errno.ENOMEM)  # without memory, no cleanup can be relied on

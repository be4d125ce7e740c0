"""File descriptors: how many this process may have, and what they are kept for."""

import resource
from functools import lru_cache
from typing import Final

_BURSTS: Final = 4  # of accepted connections, before the event loop looks at the first one and closes another for it


def raise_limit() -> None:
    """Let this process have as many descriptors as it ever may: the soft limit becomes the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    highest_descriptor.cache_clear()


@lru_cache(maxsize=1)
def highest_descriptor() -> int:
    """Return the descriptor from which on no more connections are accepted.

    The kernel hands out the lowest number that is free, so a higher one says that as many are taken. What is kept lets
    the event loop accept some before it refuses them: an accept without descriptors stops it for a second.
    """
    return _limit() - _BURSTS * accepted_at_once() - _others()


def accepted_at_once() -> int:
    """Return how many connections the event loop may accept before it does anything else."""
    return max(1, min(32, _limit() // 32))


def most_connections(wanted: int, files: int) -> int:
    """Return how many connections there may be beside so many temporary files."""
    most = highest_descriptor()
    return max(8, min(wanted, most - min(files, most // 3) - _others() // 2))


def _others() -> int:
    """Return how many are kept for NATS, child processes, files of answers, and connections to the public paths."""
    return min(64, _limit() // 8)


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**30 if soft == resource.RLIM_INFINITY else soft

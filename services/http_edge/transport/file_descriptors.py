"""File descriptors: the limit of this process, and its division."""

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
    """Return the descriptor above which connections are refused.

    The kernel returns the lowest free number, so a high one means that as many are in use. The reserve lets the event
    loop accept some connections before it refuses them: an accept without descriptors stops it for a second.
    """
    return _limit() - _BURSTS * accepted_at_once() - _others()


def accepted_at_once() -> int:
    """Return how many connections the event loop may accept before it does anything else."""
    return max(1, min(32, _limit() // 32))


def most_connections(wanted: int, files: int) -> int:
    """Return the connection limit, given the number of temporary files."""
    most = highest_descriptor()
    return max(8, min(wanted, most - min(files, most // 3) - _others() // 2))


def _others() -> int:
    """Return the reserve for NATS, child processes, response files, and connections to the public paths."""
    return min(64, _limit() // 8)


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**30 if soft == resource.RLIM_INFINITY else soft

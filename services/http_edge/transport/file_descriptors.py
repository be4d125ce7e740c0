"""File descriptors: the limit of this process, and how connections and other uses share it."""

import resource
from functools import lru_cache
from typing import Final

_BURSTS: Final = 4  # batches of accepted connections before the event loop can close any connection


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    highest_descriptor.cache_clear()


@lru_cache(maxsize=1)
def highest_descriptor() -> int:
    """Return the descriptor above which connections are refused.

    The kernel assigns the lowest free number, so the number of a new descriptor shows how many are in use. The
    descriptors above the limit let the event loop accept connections and refuse them: if accept fails for lack of
    descriptors, asyncio stops accepting for a second.
    """
    return _limit() - _BURSTS * accepted_at_once() - _others()


def accepted_at_once() -> int:
    """Return the number of connections that the event loop accepts in one iteration."""
    return max(1, min(32, _limit() // 32))


def most_connections(wanted: int, files: int) -> int:
    """Return the connection limit: `wanted`, or less if the descriptors are limited.

    `files`: the number of temporary files that can be open.
    """
    most = highest_descriptor()
    return max(8, min(wanted, most - min(files, most // 3) - _others() // 2))


def _others() -> int:
    """Return the number reserved for NATS, child processes, response files and the public paths."""
    return min(64, _limit() // 8)


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**30 if soft == resource.RLIM_INFINITY else soft

"""Frees what the sessions of closed pages hold. Streamlit itself does so only when another visitor comes."""

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import streamlit as st
from streamlit.runtime import Runtime, exists, get_instance

# A page can return within this time, as after a short loss of the network.
RECONNECT_S: Final = 40
SWEEP_S: Final = 5.0


@asynccontextmanager
async def freeing_memory(app: st.App) -> AsyncIterator[None]:  # noqa: ARG001  # as Streamlit calls it
    """Free what is due while the pages are served."""
    sweeping = asyncio.create_task(_sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep() -> None:
    before = 0
    while True:
        await asyncio.sleep(SWEEP_S)
        now = _expire(get_instance()) if exists() else 0
        if now < before:
            _return_memory()
        before = now


def _expire(runtime: Runtime) -> int:
    """Drop the expired sessions, and return how many are left."""
    sessions: Any = runtime._session_mgr  # noqa: SLF001  # Streamlit has no public way
    with sessions._storage_lock:  # noqa: SLF001
        sessions._session_storage._cache.expire()  # noqa: SLF001
    return len(sessions.list_sessions())


def _return_memory() -> None:
    """Collect reference cycles, and have the C library return free memory to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than that of GNU
        ctypes.CDLL("libc.so.6").malloc_trim(0)

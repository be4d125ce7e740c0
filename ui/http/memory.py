"""Frees what the sessions of closed pages hold. Streamlit itself does so only when another visitor comes."""

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import streamlit as st
from streamlit.runtime import Runtime, exists, get_instance
from streamlit.runtime.app_session import AppSession

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
    waiting: dict[str, AppSession] = {}
    while True:
        await asyncio.sleep(SWEEP_S)
        if exists():
            waiting = _end_expired(get_instance(), waiting)


def _end_expired(runtime: Runtime, waiting: dict[str, AppSession]) -> dict[str, AppSession]:
    """End the sessions that have expired since they were `waiting`; return those that wait for their page now.

    Streamlit drops an expired session without ending it: its uploads stay until it is collected as garbage.
    """
    sessions: Any = runtime._session_mgr  # noqa: SLF001  # Streamlit has no public way
    with sessions._storage_lock:  # noqa: SLF001
        sessions._session_storage._cache.expire()  # noqa: SLF001
        stored = {info.session.id: info.session for info in sessions._session_storage.list()}  # noqa: SLF001

    gone = [
        key
        for key in waiting
        if key not in stored and sessions.get_active_session_info(key) is None
    ]
    for key in gone:
        session = waiting.pop(key)
        session.shutdown()
        session.session_state.clear()

    if gone:
        waiting.clear()
        _return_memory()
    return stored


def _return_memory() -> None:
    """Collect reference cycles, and have the C library return free memory to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than that of GNU
        ctypes.CDLL("libc.so.6").malloc_trim(0)

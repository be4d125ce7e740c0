"""An event loop in its own thread, on which ordinary programs run coroutines."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
_CLOSE_S: Final = 10.0


class Loop:
    """An event loop in a daemon thread; `run` waits for a coroutine on it."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="voice-cloning-client", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return its result; if the wait is interrupted, cancel it and let it clean up."""
        ended = threading.Event()

        async def settled() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(settled(), self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(_CLOSE_S)
            raise

    def close(self) -> None:
        """Stop the thread."""
        if self._loop.is_closed():
            return

        asyncio.run_coroutine_threadsafe(self._loop.shutdown_asyncgens(), self._loop).result(
            _CLOSE_S
        )
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        self._loop.close()

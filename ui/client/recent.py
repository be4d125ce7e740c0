"""A value of the service that is fetched in the background, so that no page waits for it."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from ui.errors import Refusal, Unreachable

_FIRST_S: Final = 3.0  # that the first reader waits

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The last response to one question. Readers get it at once, and an old one is fetched again meanwhile."""

    def __init__(
        self, fetch: Callable[[], Value], fresh_s: float, *, lasting: bool = False
    ) -> None:
        """Take the question, and how long its response is not fetched again.

        `lasting`: a response stays when the service does not answer later, as a list of voices does.
        """
        self._fetch = fetch
        self._fresh_s = fresh_s
        self._lasting = lasting
        self._lock = threading.Lock()
        self._latest: Value | Refusal | None = None
        self._fetched_s: float | None = None
        self._fetching: threading.Thread | None = None
        self._generation = 0

    def get(self) -> Value | Refusal | None:
        """Return the last response or refusal; None: the service has not responded yet."""
        first, fetching = self._begin()
        if first and fetching is not None:
            fetching.join(_FIRST_S)
        return self._latest

    def refresh(self) -> None:
        """Fetch it now: something has changed."""
        with self._lock:
            self._generation += 1
            generation = self._generation
        self._fetch_once(generation)

    def _begin(self) -> tuple[bool, threading.Thread | None]:
        """Fetch it in the background, if it is old. Return whether it was never fetched, and the thread."""
        with self._lock:
            first = self._fetched_s is None
            fresh = not first and time.monotonic() - (self._fetched_s or 0.0) < self._fresh_s
            if fresh or (self._fetching is not None and self._fetching.is_alive()):
                return False, None

            self._fetched_s = time.monotonic()
            self._fetching = threading.Thread(
                target=self._fetch_once, args=(self._generation,), name="recent", daemon=True
            )
            self._fetching.start()
            return first, self._fetching

    def _fetch_once(self, generation: int) -> None:
        """Fetch it, and keep the response unless a newer one was requested meanwhile."""
        try:
            latest: Value | Refusal = self._fetch()
        except Refusal as refusal:
            latest = refusal
        with self._lock:
            if generation != self._generation:
                return
            self._fetched_s = time.monotonic()
            if not (self._lasting and isinstance(latest, Unreachable) and self._latest is not None):
                self._latest = latest

"""A job of the service: this process only polls its progress."""

import threading
import time
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakValueDictionary

from ui.client.service import Order, Service
from ui.errors import Refusal
from ui.text.sentences import Alignment

_LOOK_S: Final = 0.7
_PATIENCE_S: Final = 60.0  # so long the service may not answer
_ENDED: Final = ("done", "failed", "cancelled")

# The browser requests a job's audio by an unguessable id: the service's own.
READINGS: Final[WeakValueDictionary[str, "Reading"]] = WeakValueDictionary()


class Reading:
    """One job: its state and its sentences, followed by a thread until it ends."""

    def __init__(self, service: Service, order: Order) -> None:
        """Hand the text over. Raises Refusal."""
        self.service = service
        self.order = order
        self.alignment = Alignment(order.text)
        self.state = service.begin_job(order)
        self.id = str(self.state["id"])
        self.began_s = time.monotonic()
        self.failure: Refusal | None = None
        self._left = threading.Event()
        READINGS[self.id] = self
        threading.Thread(target=self._follow, name=f"reading-{self.id[:8]}", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self.failure is not None or self.whole

    @property
    def whole(self) -> bool:
        """Return whether all audio is available."""
        return bool(self.state["state"] == "done")

    @property
    def progress(self) -> tuple[int, int]:
        """Return the number of spoken sentences, and of all (0 while unknown)."""
        return self.state["spoken"], self.state.get("sentences", 0)

    @property
    def left_s(self) -> float | None:
        """Return how long it still takes, as far as the service can tell."""
        if "estimated_end" not in self.state:
            return None
        end = datetime.fromisoformat(self.state["estimated_end"])
        return max(0.0, (end - datetime.now(UTC)).total_seconds())

    def cancel(self) -> None:
        """Stop it on the service. Raises Refusal."""
        self.service.cancel_job(self.id)

    def _follow(self) -> None:
        answered_s = time.monotonic()
        while not self.ended:
            self._left.wait(_LOOK_S)
            try:
                self._look()
                answered_s = time.monotonic()
            except Refusal as refusal:
                if time.monotonic() - answered_s > _PATIENCE_S:
                    self.failure = refusal

    def _look(self) -> None:
        state = self.service.job(self.id)
        self._learn(state)
        self.state = state
        if state["state"] in ("failed", "cancelled"):
            code = (
                "cancelled"
                if state["state"] == "cancelled"
                else str(state.get("code", "synthesis_failed"))
            )
            self.failure = Refusal(code, str(state.get("detail", "")))

    def _learn(self, state: dict[str, Any]) -> None:
        """Fetch the new sentences; a response has some hundred at most."""
        known = -1
        while known < len(self.alignment.ends_s) < state["spoken"]:
            known = len(self.alignment.ends_s)
            try:
                self.alignment.learn(self.service.sentences(self.id, known))
            except Refusal as refusal:
                if (
                    refusal.code != "unknown_request"
                ):  # expired: there are no marks, but there is audio
                    raise

"""Jobs of the service: this process only polls their progress."""

import re
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from ui.client.order import Order
from ui.client.service import Service
from ui.errors import GONE, Refusal
from ui.text.markup import is_ssml, without_markup
from ui.text.sentences import Alignment

_LOOK_S: Final = 0.7
_PATIENCE_S: Final = 60.0  # so long the service may not answer
_TITLE_CHARACTERS: Final = 60
_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_WITHOUT_RESULT: Final = ("failed", "cancelled")  # states

# The browser requests a job's audio by an unguessable id: the service's own.
READINGS: Final[WeakValueDictionary[str, "Reading"]] = WeakValueDictionary()
# The latest ones stay here, with their texts and without recordings, for a page that is loaded again.
_LATEST: Final[deque["Reading"]] = deque(maxlen=32)


class TimedChapter(NamedTuple):
    """A chapter and its time in the audio."""

    title: str
    begins_s: float | None  # None: it is not spoken yet
    seconds: float | None


class Reading:
    """One job: its state and its sentences, followed by a thread until it ends."""

    def __init__(self, service: Service, state: dict[str, Any], text: str = "") -> None:
        """Follow the job with this state. `text`: what it speaks, if it is known here."""
        self.service = service
        self.id = str(state["id"])
        self.text = text
        self.state = state
        self.alignment = Alignment(text)
        self.failure: Refusal | None = None
        self._is_cancelled = False  # by this page
        self._left = threading.Event()
        READINGS[self.id] = self
        _LATEST.append(self)
        self._thread = threading.Thread(
            target=self._follow, name=f"reading-{self.id[:8]}", daemon=True
        )
        self._thread.start()

    @property
    def title(self) -> str:
        """Return its title or its first words; empty where neither is known."""
        if titled := str(self.state.get("title", "")):
            return titled
        words = without_markup(self.text) if is_ssml(self.text) else self.text
        beginning = " ".join(words[: 4 * _TITLE_CHARACTERS].split())
        if len(beginning) <= _TITLE_CHARACTERS:
            return beginning
        return beginning[:_TITLE_CHARACTERS].rpartition(" ")[0] + " …"

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self.failure is not None or self.whole

    @property
    def whole(self) -> bool:
        """Return whether all audio is available."""
        return bool(self.state["state"] == "done")

    @property
    def settled(self) -> bool:
        """Return whether it has ended, and all of its sentences are known that ever will be."""
        return not self._thread.is_alive()

    @property
    def progress(self) -> tuple[int, int]:
        """Return the number of spoken sentences, and of all (0 while unknown)."""
        return self.state.get("spoken", 0), self.state.get("sentences", 0)

    @property
    def chapters(self) -> list[TimedChapter]:
        """Return the chapters that have a sentence, in order."""
        return [
            TimedChapter(chapter["title"], chapter.get("begins"), chapter.get("seconds"))
            for chapter in self.state.get("chapters", ())
        ]

    @property
    def left_s(self) -> float | None:
        """Return how long it still takes, as far as the service can tell."""
        if "estimated_end" not in self.state:
            return None
        end = datetime.fromisoformat(self.state["estimated_end"])
        return max(0.0, (end - datetime.now(UTC)).total_seconds())

    @property
    def revision(self) -> int:
        """Return how many of its sentences were spoken again."""
        return int(self.state.get("revision", 0))

    def refresh(self) -> None:
        """Fetch the state and the sentences again, after one was spoken again. Raises Refusal."""
        state = self.service.job(self.id)
        alignment = Alignment(self.text, left_out=self.alignment.left_out)
        alignment.learn_revision(all_sentences(self.service, self.id))
        self.alignment = alignment
        self.state = state

    def cancel(self) -> None:
        """Stop it on the service, or delete its result if it has ended. Raises Refusal.

        A second call before it has ended does nothing: to the service, it would be a deletion.
        """
        if self._is_cancelled and not self.ended:
            return
        self.service.cancel_job(self.id)
        self._is_cancelled = True

    def _follow(self) -> None:
        answered_s = time.monotonic()
        self._learn_quietly()
        while not self.ended:
            self._left.wait(_LOOK_S)
            try:
                self._look()
                answered_s = time.monotonic()
            except Refusal as refusal:
                if refusal.code in GONE or time.monotonic() - answered_s > _PATIENCE_S:
                    self.failure = refusal

    def _learn_quietly(self) -> None:
        """Fetch the sentences of a job that is not new; it is without them if they have expired."""
        try:
            if self.whole:
                self._learn_revision()
            else:
                self._learn(self.state)
        except Refusal:
            return

    def _learn_revision(self) -> None:
        """Fetch what is stored with a job that is done: its sentences, and which letters are left out."""
        self.alignment.learn_revision(all_sentences(self.service, self.id))
        self.alignment.learn(self.service.sentences(self.id, len(self.alignment.spans)))

    def _look(self) -> None:
        state = self.service.job(self.id)
        if state["state"] not in _WITHOUT_RESULT:
            try:
                self._learn(state)
            except Refusal as refusal:
                if not refusal.gone:
                    raise
                state = self.service.job(self.id)  # its sentences are deleted if it has failed
                if state["state"] not in _WITHOUT_RESULT:
                    raise
        self.state = state
        if state["state"] in _WITHOUT_RESULT:
            code = (
                "cancelled"
                if state["state"] == "cancelled"
                else str(state.get("code", "synthesis_failed"))
            )
            self.failure = Refusal(code, str(state.get("detail", "")))

    def _learn(self, state: dict[str, Any]) -> None:
        """Fetch the new sentences; a response has some hundred at most."""
        known = -1
        while known < len(self.alignment.ends_s) < state.get("spoken", 0):
            known = len(self.alignment.ends_s)
            try:
                self.alignment.learn(self.service.sentences(self.id, known))
            except Refusal as refusal:
                if (
                    refusal.code != "unknown_request"
                ):  # expired: there are no marks, but there is audio
                    raise


def all_sentences(service: Service, job_id: str) -> list[dict[str, Any]]:
    """Return the sentences of a job that is done, at its latest revision. Raises Refusal."""
    page = service.job_sentences(job_id)
    sentences = list(page.get("sentences", ()))
    while page.get("sentences") and len(sentences) < page["count"]:
        page = service.job_sentences(job_id, len(sentences))
        sentences += page.get("sentences", ())
    return sentences


def begin_reading(service: Service, order: Order) -> Reading:
    """Hand the text over. Raises Refusal."""
    return Reading(service, service.begin_job(order), order.text)


def find_reading(service: Service, job_id: str) -> Reading:
    """Return the job with this id, from wherever it was begun. Raises Refusal."""
    if not _ID.fullmatch(job_id):
        raise Refusal("unknown_job")
    known = READINGS.get(job_id)
    if known is not None and (known.failure is None or known.failure.code == "cancelled"):
        return known
    return Reading(service, service.job(job_id), _text_of(service, job_id))


def _text_of(service: Service, job_id: str) -> str:
    """Return the text of a job; empty if it has expired."""
    try:
        return str(service.job_request(job_id).get("text", ""))
    except Refusal:
        return ""

"""Speaks one sentence of a finished job again, outside the runs of the page's script."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ui.client.order import Manner
from ui.client.service import Service
from ui.errors import Refusal

MOST_CHARACTERS: Final = 2_000  # that the service takes for a sentence


@dataclass(frozen=True)
class SentenceRedo:
    """The sentence to speak again, and how."""

    job_id: str
    index: int
    words: str | None = None  # None: those that it has
    manner: Manner = field(default_factory=Manner)

    def fields(self) -> dict[str, str]:
        """Return the form's fields."""
        words = {} if self.words is None else {"text": self.words}
        return words | self.manner.fields()


class Redoing:
    """A sentence that is being spoken again, or was."""

    def __init__(self, service: Service, redo: SentenceRedo) -> None:
        """Begin at once."""
        self.redo = redo
        self.failure: Refusal | None = None
        self.seconds = 0.0
        self.seed = 0
        self._service = service
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="redo-sentence", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Return whether the sentence is replaced, or failed."""
        return self._ended.is_set()

    def _run(self) -> None:
        try:
            new = self._service.redo_sentence(self.redo.job_id, self.redo.index, self.redo.fields())
            self.seconds = float(new["seconds"])
            self.seed = int(new["seed"])
        except Refusal as refusal:
            self.failure = refusal
        finally:
            self._ended.set()


@dataclass(frozen=True)
class StoredSentence:
    """A sentence of a finished job."""

    index: int
    text: str
    begins_s: float
    redone: bool  # whether it was spoken again

    @staticmethod
    def of(sentence: Mapping[str, object]) -> "StoredSentence":
        """Return a sentence of `GET /jobs/{id}/sentences`."""
        return StoredSentence(
            index=int(str(sentence["index"])),
            text=" ".join(str(sentence["text"]).split()),
            begins_s=float(str(sentence["begins"])),
            redone="revision" in sentence,
        )


def matching(
    sentences: tuple[StoredSentence, ...], words: str, most: int
) -> tuple[StoredSentence, ...]:
    """Return the first sentences that have these words, without regard to case; at most `most`."""
    wanted = " ".join(words.split()).casefold()
    return tuple(each for each in sentences if wanted in each.text.casefold())[:most]

"""Tracks which sentences of a request are queued, spoken or still to be queued. Pure."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """A request's sentences. They are queued in the order of the text, each once."""

    sentences: int
    ended: set[int] = field(default_factory=set)
    queued: set[int] = field(default_factory=set)  # and not spoken yet
    _next: int = 0

    def peek(self) -> int | None:
        """Return the index of the sentence to queue next; None if all are queued or spoken."""
        while self._next in self.ended:
            self._next += 1
        return self._next if self._next < self.sentences else None

    def queue(self, sentence: int) -> None:
        """Record that the sentence returned by `peek` is queued."""
        if sentence not in self.ended:
            self.queued.add(sentence)
        self._next = max(self._next, sentence + 1)

    def end(self, sentence: int) -> bool:
        """Record that a sentence is spoken; return whether it was queued here, so that its permit
        can be released."""
        if not 0 <= sentence < self.sentences:
            return False
        self.ended.add(sentence)
        was_queued = sentence in self.queued
        self.queued.discard(sentence)
        return was_queued

    @property
    def done(self) -> bool:
        """Return whether every sentence is spoken."""
        return len(self.ended) == self.sentences

"""Which sentences of a request are queued, spoken or still to come. Pure."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """A request's sentences, queued in the order of the text, each once."""

    sentences: int
    ended: set[int] = field(default_factory=set)
    queued: set[int] = field(default_factory=set)  # and not spoken yet
    _next: int = 0

    def peek(self) -> int | None:
        """Return the place that is to be queued next, or None where all are queued or spoken."""
        while self._next in self.ended:
            self._next += 1
        return self._next if self._next < self.sentences else None

    def queue(self, sentence: int) -> None:
        """Note that the sentence which `peek` named is in the queue."""
        if sentence not in self.ended:
            self.queued.add(sentence)
        self._next = max(self._next, sentence + 1)

    def end(self, sentence: int) -> bool:
        """Note that a sentence is spoken, whoever queued it; say whether this is what frees a place in the queue."""
        if not 0 <= sentence < self.sentences:
            return False
        self.ended.add(sentence)
        frees = sentence in self.queued
        self.queued.discard(sentence)
        return frees

    @property
    def done(self) -> bool:
        """Say whether every sentence is spoken."""
        return len(self.ended) == self.sentences

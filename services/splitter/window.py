"""Which sentences of a request are queued, spoken or still to come, so that a book does not fill the queue.

Pure: it is told what happened and says what to do.
"""

from dataclasses import dataclass, field


@dataclass
class Window:
    """At most `size` sentences of a request are in the queue; as one ends, the next one goes in."""

    sentences: int
    size: int
    ended: set[int] = field(default_factory=set)
    queued: set[int] = field(default_factory=set)
    _next: int = 0

    def to_queue(self) -> list[int]:
        """Return the places to queue now, in order; they count as queued from here on."""
        places: list[int] = []
        while self._next < self.sentences and len(self.queued) < self.size:
            if self._next not in self.ended:
                places.append(self._next)
                self.queued.add(self._next)
            self._next += 1
        return places

    def end(self, sentence: int) -> None:
        """Note that a sentence is spoken, whether or not this window queued it; twice is once."""
        if 0 <= sentence < self.sentences:
            self.ended.add(sentence)
            self.queued.discard(sentence)

    @property
    def done(self) -> bool:
        """Say whether every sentence is spoken."""
        return len(self.ended) == self.sentences

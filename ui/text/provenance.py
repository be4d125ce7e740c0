"""The answer about the provenance of a recording, by request. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FoundRequest:
    """A request whose sentences are in a recording."""

    id: str
    spoken_at: str  # RFC 3339, of its first sentence in the recording
    sentences: int
    exact: bool  # whether all of them are unchanged


def found_requests(sentences: Sequence[Mapping[str, Any]]) -> list[FoundRequest]:
    """Return the requests of the sentences that were found, in the order of the recording."""
    by_request: dict[str, list[Mapping[str, Any]]] = {}
    for sentence in sentences:
        by_request.setdefault(sentence["request"], []).append(sentence)
    return [
        FoundRequest(
            request, own[0]["spoken_at"], len(own), all(sentence["exact"] for sentence in own)
        )
        for request, own in by_request.items()
    ]

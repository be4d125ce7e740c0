"""The watermark that the edge reports: the one that every worker puts into the audio."""

from dataclasses import dataclass

import pytest
from msgspec import UNSET, UnsetType, structs

from services.common.wire.messages import WorkerState
from services.http_edge.capacity.fleet import Fleet
from tests.support.messages import EXAMPLES

[WORKER] = [message for message in EXAMPLES if isinstance(message, WorkerState)]


@dataclass(frozen=True)
class Alive:
    """Heartbeats of these workers."""

    workers: tuple[WorkerState, ...]

    def alive(self) -> tuple[WorkerState, ...]:
        return self.workers


def reported(*watermarks: str | UnsetType) -> str | None:
    workers = tuple(structs.replace(WORKER, watermark=watermark) for watermark in watermarks)
    fleet = Fleet("embedded", Alive(workers), Alive(()))  # type: ignore[arg-type]
    return fleet.watermark


@pytest.mark.parametrize(
    ("watermarks", "expected"),
    [
        ((), None),
        (("voice-cloning-1",), "voice-cloning-1"),
        (("voice-cloning-1", "voice-cloning-1"), "voice-cloning-1"),
        (("voice-cloning-1", "off"), "off"),
        (("voice-cloning-1", UNSET), "off"),
        ((UNSET,), "off"),
        (("off",), "off"),
    ],
)
def test_it_is_reported_only_if_every_worker_puts_it_in(
    watermarks: tuple[str | UnsetType, ...], expected: str | None
) -> None:
    assert reported(*watermarks) == expected

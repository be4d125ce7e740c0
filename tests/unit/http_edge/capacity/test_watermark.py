"""The watermark that the edge reports: the one that every worker puts into the audio."""

from dataclasses import dataclass

import pytest
from msgspec import UNSET, UnsetType, structs

from services.common.wire.messages import SpeechRequest, WorkerState
from services.http_edge.capacity.fleet import Fleet
from tests.support.messages import EXAMPLES

[REQUEST] = [message for message in EXAMPLES if isinstance(message, SpeechRequest)]
[WORKER] = [message for message in EXAMPLES if isinstance(message, WorkerState)]


@dataclass(frozen=True)
class Alive:
    """Heartbeats of these workers."""

    workers: tuple[WorkerState, ...]

    def alive(self) -> tuple[WorkerState, ...]:
        return self.workers


def fleet_of(*watermarks: str | UnsetType) -> Fleet:
    workers = tuple(structs.replace(WORKER, watermark=watermark) for watermark in watermarks)
    return Fleet(WORKER.engine, Alive(workers), Alive(()))  # type: ignore[arg-type]


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
    assert fleet_of(*watermarks).watermark == expected


@pytest.mark.parametrize("sent", [UNSET, "off", "voice-cloning-9"])
@pytest.mark.parametrize(
    ("watermarks", "expected"),
    [
        (("voice-cloning-1",), "voice-cloning-1"),
        (("voice-cloning-1", "off"), "off"),
        ((), UNSET),
    ],
)
def test_a_request_gets_the_watermark_of_the_workers_whatever_it_was_sent_with(
    watermarks: tuple[str, ...], expected: str | UnsetType, sent: str | UnsetType
) -> None:
    request = structs.replace(REQUEST, engine=WORKER.engine, watermark=sent)
    assert fleet_of(*watermarks).marked(request) == structs.replace(request, watermark=expected)

"""A text that costs the process that divides it is tried a few times, and not at every delivery."""

import asyncio

import pytest

from services.common.bus.cancels import Cancels
from services.common.bus.heartbeats import workers
from services.common.wire.failures import SynthesisFailed
from services.splitter.handler import RequestWork
from services.splitter.metrics import Metrics
from services.splitter.scheduling.backlog import Backlog
from services.splitter.scheduling.scheduler import Scheduler
from services.splitter.segmentation.portions import Divisions
from services.splitter.segmentation.process import SegmentationCrashed, SegmentationTask
from services.splitter.segmentation.sentences import SplitText
from tests.support.buses import memory_bus
from tests.support.messages import CLIP
from tests.support.service import speech_request


@pytest.mark.parametrize(("attempt", "again"), [(1, True), (2, True), (3, False), (9, False)])
async def test_a_text_that_cannot_be_divided_is_given_up_at_the_third_attempt(
    attempt: int, again: bool
) -> None:
    async def divide(_task: SegmentationTask) -> SplitText:
        raise SegmentationCrashed("the text could not be divided; send it in parts")

    bus, request = await memory_bus(), speech_request(CLIP)
    fleet = workers(bus)
    work = RequestWork(
        bus=bus,
        workers=fleet,
        cancels=Cancels(bus),
        backlog=Backlog(),
        metrics=Metrics(),
        scheduler=Scheduler(fleet, 1.0),
        stop=asyncio.Event(),
        divisions=Divisions(divide),
    )
    task = SegmentationTask(request.text, "en", 60)
    with pytest.raises(SynthesisFailed, match="send it in parts") as failed:
        await work._divided(task, request, attempt)
    assert failed.value.retryable is again

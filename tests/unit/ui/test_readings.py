"""Readings: jobs of the service that the pages follow and cancel."""

import threading
import time
from typing import Any

from ui.client.jobs import Reading
from ui.client.service import Service
from ui.errors import Refusal

RUNNING = {"id": "the-reading", "state": "running", "spoken": 1}
CANCELLED = {"id": "the-reading", "state": "cancelled"}


class DeletingService(Service):
    """Cancels a job, and so deletes its sentences, between two requests."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        self.state: dict[str, Any] = RUNNING
        self.cancelled_when = threading.Event()
        self.cancels = 0

    def job(self, job_id: str) -> dict[str, Any]:
        assert job_id == "the-reading"
        return self.state

    def sentences(self, request_id: str, first: int) -> dict[str, Any]:
        del request_id
        if not self.cancelled_when.is_set():
            return {"from": first, "sentences": []}
        self.state = CANCELLED
        raise Refusal("unknown_job")

    def cancel_job(self, job_id: str) -> None:
        assert job_id == "the-reading"
        self.cancels += 1


def ended(reading: Reading) -> Refusal:
    give_up_s = time.monotonic() + 60
    while reading.failure is None:
        assert time.monotonic() < give_up_s, "the reading did not notice its end"
        time.sleep(0.01)
    return reading.failure


def test_a_reading_whose_sentences_are_deleted_while_they_are_read_is_cancelled_not_lost() -> None:
    service = DeletingService()
    reading = Reading(service, RUNNING, "One. Two.")
    service.cancelled_when.set()
    assert ended(reading).code == "cancelled"


def test_a_second_click_on_cancel_does_not_delete_the_reading() -> None:
    service = DeletingService()
    reading = Reading(service, RUNNING, "One. Two.")
    reading.cancel()
    reading.cancel()
    assert service.cancels == 1
    service.cancelled_when.set()
    ended(reading)
    reading.cancel()
    assert service.cancels == 2, "it is deleted on request"

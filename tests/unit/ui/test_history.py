"""Stored results: the label of a browser, times in its zone, entries of the history, and storing a speech."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ui.client.history import results
from ui.client.order import ChosenVoice, Order
from ui.client.responses import AudioHead
from ui.client.service import Service
from ui.client.speech import Speaking
from ui.errors import Refusal
from ui.widgets.stored import local_time
from ui.widgets.storing import valid_label

LABEL = "a-label-of-22-letters_"


def test_a_cookie_that_can_be_guessed_or_is_no_label_is_not_used() -> None:
    assert valid_label(LABEL) == LABEL
    for cookie in (None, "", "mine", "a" * 65, "with a blank in it !", LABEL + "&origin=job"):
        assert valid_label(cookie) == ""


def test_times_are_shown_in_the_zone_of_the_browser() -> None:
    moment = "2026-01-31T23:30:00.000+00:00"
    assert local_time(moment, "Europe/Paris") == "2026-02-01 00:30"
    assert local_time(moment, None) == "2026-01-31 23:30"
    assert local_time(moment, "No/Such") == "2026-01-31 23:30"
    assert local_time("", "Europe/Paris") == "?"


class StoringService(Service):
    """Speaks one second of silence, and stores it after some refusals."""

    def __init__(self, *refusals: str) -> None:
        super().__init__("http://nowhere")
        self.refusals = list(refusals)
        self.stored: list[tuple[str, str]] = []
        self.requests_read = 0

    @contextmanager
    def speaking(self, order: Order, request_id: str, *, stream: bool) -> Iterator[Any]:
        del order, request_id, stream

        class Response:
            head = AudioHead(1, "tone", 24_000, "", None)

            def chunks(self) -> Iterator[bytes]:
                yield bytes(44) + bytes(48_000)

        yield Response()

    def store_request(self, request_id: str, label: str) -> dict[str, Any]:
        if self.refusals:
            raise Refusal(self.refusals.pop(0))
        self.stored.append((request_id, label))
        return {"id": request_id}

    def stored_requests(self, label: str, most: int) -> list[dict[str, Any]]:
        del label, most
        return [{"id": "job-two", "audio_seconds": 2.5, "revision": 1}, {"id": "job-one"}]

    def job_request(self, job_id: str) -> dict[str, Any]:
        self.requests_read += 1
        if job_id == "job-one":
            raise Refusal("unknown_job")
        return {"text": "<speak>Un  <s>deux</s></speak>", "voice": "v_abc@3", "seed": 7}


def spoken(service: StoringService, label: str) -> Speaking:
    """Return a speech that has ended, stored or not."""
    speaking = Speaking(service, Order("Un.", "fr", ChosenVoice()), stream=True, label=label)
    [thread] = [
        each for each in threading.enumerate() if each.name == f"speaking-{speaking.id[:8]}"
    ] or [None]
    if thread is not None:
        thread.join(60)
    return speaking


def test_a_whole_speech_is_stored_under_its_label_after_refusals_that_pass() -> None:
    service = StoringService("audio_incomplete", "queue_full")
    speaking = spoken(service, LABEL)
    assert service.stored == [(speaking.id, LABEL)]
    assert (speaking.stored, speaking.store_failure) == ({"id": speaking.id}, None)
    assert not speaking.storing


def test_a_speech_that_cannot_be_stored_has_the_reason_and_its_audio() -> None:
    speaking = spoken(StoringService("results_full"), LABEL)
    assert speaking.store_failure is not None
    assert speaking.store_failure.code == "results_full"
    assert speaking.whole
    assert not speaking.storing


def test_a_speech_without_a_label_is_not_stored() -> None:
    service = StoringService()
    assert not spoken(service, "").storing
    assert service.stored == []


def test_the_history_leaves_out_what_was_deleted_and_reads_each_request_once() -> None:
    service = StoringService()
    read: dict[str, Mapping[str, Any]] = {}
    [result] = results(service, LABEL, read)
    assert (result.id, result.voice, result.seed, result.revision) == ("job-two", "v_abc", 7, 1)
    assert result.words == "Un deux"
    assert results(service, LABEL, read) == [result]
    assert service.requests_read == 2

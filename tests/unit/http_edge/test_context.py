"""The outcome of a request, as metrics count it."""

import time

from services.http_edge.context import RequestOutcome


def waited(seconds: float, *, left: bool = True, read: bool = True) -> RequestOutcome:
    outcome = RequestOutcome(left=left)
    outcome.read_s = time.monotonic() - seconds if read else None
    return outcome


def test_a_client_that_gives_up_waiting_counts_as_late() -> None:
    late_s = waited(30.0).late_wait_s
    assert late_s is not None
    assert late_s >= 30.0


def test_a_client_that_leaves_early_or_has_audio_or_stays_does_not_count_as_late() -> None:
    heard = waited(30.0)
    heard.record_first_audio()
    for outcome in (heard, waited(1.0), waited(30.0, left=False), waited(30.0, read=False)):
        assert outcome.late_wait_s is None

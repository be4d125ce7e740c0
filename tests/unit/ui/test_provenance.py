"""The answer about a recording, by request."""

from ui.text.provenance import FoundRequest, found_requests


def test_sentences_are_counted_by_request_in_the_order_of_the_recording() -> None:
    sentences = [
        {"request": "b", "spoken_at": "2026-11-29T15:20:00+00:00", "exact": True},
        {"request": "a", "spoken_at": "2026-11-29T15:10:00+00:00", "exact": True},
        {"request": "b", "spoken_at": "2026-11-29T15:20:03+00:00", "exact": False},
    ]
    assert found_requests(sentences) == [
        FoundRequest("b", "2026-11-29T15:20:00+00:00", 2, exact=False),
        FoundRequest("a", "2026-11-29T15:10:00+00:00", 1, exact=True),
    ]
    assert found_requests([]) == []

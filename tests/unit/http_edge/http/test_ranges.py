"""Range headers and the bytes they select."""

import pytest

from services.http_edge.errors import RangeNotSatisfiable
from services.http_edge.http.ranges import not_modified, range_applies, requested_range

SIZE = 1_000


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-", (0, 1_000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=990-2000", (990, 1_000)),
        ("bytes=-1", (999, 1_000)),
        ("bytes=-5000", (0, 1_000)),
        (" bytes=5-9 ", (5, 10)),
    ],
)
def test_one_range_selects_its_bytes(header: str, span: tuple[int, int]) -> None:
    assert requested_range(header, SIZE) == span


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=9-5",
        "bytes=0-1,5-6",
        "sentences=1-2",
        "bytes=a-b",
        "0-5",
    ],
)
def test_anything_but_one_range_of_bytes_is_ignored(header: str | None) -> None:
    assert requested_range(header, SIZE) is None


@pytest.mark.parametrize(
    "header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=99999999999999999-"]
)
def test_a_range_beyond_the_end_is_refused_with_the_size_of_the_audio(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        requested_range(header, SIZE)
    assert refused.value.size == SIZE


def test_a_range_applies_only_to_the_version_in_if_range() -> None:
    assert range_applies(None, '"a-1"')
    assert range_applies(' "a-1" ', '"a-1"')
    for other in ('"a-2"', 'W/"a-1"', "Wed, 21 Oct 2015 07:28:00 GMT", ""):
        assert not range_applies(other, '"a-1"')


def test_a_client_has_the_body_if_it_lists_its_version_weak_or_not() -> None:
    for known in ('"a-1"', 'W/"a-1"', '"b", W/"a-1"', "*"):
        assert not_modified(known, '"a-1"')
        assert not_modified(known, 'W/"a-1"')
    assert not not_modified('"a-2"', '"a-1"')
    assert not not_modified(None, '"a-1"')

"""Delays between attempts: limits, jitter and `Retry-After`."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cloning_client.retry import Retry, retry_after_s

NOW = datetime(2026, 1, 1, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 2026 10:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 09:00:00 GMT", 0.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1.5", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.integers(1, 20), st.floats(0, 1))
def test_delays_grow_up_to_their_limit_and_then_end(failures: int, chance: float) -> None:
    retry = Retry(attempts=8)
    delay_s = retry.delay_s(failures, None, lambda: chance)
    assert (delay_s is None) == (failures >= 8)
    if delay_s is not None:
        assert 0.25 <= delay_s <= min(10.0, 0.5 * 2**failures)


@given(st.floats(0, 120), st.floats(0, 1))
def test_a_client_never_returns_before_retry_after(wait_s: float, chance: float) -> None:
    delay_s = Retry().delay_s(1, wait_s, lambda: chance)
    assert (delay_s is None) == (wait_s > 60)
    if delay_s is not None:
        assert wait_s <= delay_s <= wait_s * 1.25 + 0.125

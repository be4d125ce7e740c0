"""The fair queue decides which upload is decoded next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.failures import QueueFull, TenantQueueFull
from services.http_edge.intake.reference.decode_queue import DecodeQueue


def queue(most: int = 1_000, most_per_tenant: int = 1_000) -> DecodeQueue[int]:
    return DecodeQueue(most=most, most_per_tenant=most_per_tenant)


def served(waiting: DecodeQueue[int], count: int, seconds: dict[str, float]) -> list[str]:
    """Serve tickets one after another, each for the time of its tenant; return their tenants in order."""
    order = []
    for _ in range(count):
        following = waiting.pop()
        assert following is not None
        order.append(following[0])
        waiting.charge(following[0], seconds[following[0]])
    return order


def test_nothing_waits_in_an_empty_queue() -> None:
    assert queue().pop() is None
    assert len(queue()) == 0


def test_one_tenants_uploads_are_served_in_their_order() -> None:
    waiting = queue()
    for ticket in range(5):
        waiting.add("acme", ticket)
    assert [waiting.pop() for _ in range(5)] == [("acme", ticket) for ticket in range(5)]


def test_a_new_tenant_is_served_after_the_upload_in_progress() -> None:
    waiting = queue()
    for ticket in range(8):
        waiting.add("greedy", ticket)
    assert waiting.pop() == ("greedy", 0)
    waiting.add("modest", 100)
    waiting.charge("greedy", 5.0)
    assert waiting.pop() == ("modest", 100)


def test_a_tenant_with_quick_uploads_has_several_of_them_for_a_slow_one() -> None:
    waiting = queue()
    for ticket in range(60):
        waiting.add("slow" if ticket % 2 else "quick", ticket)
    order = served(waiting, 22, {"slow": 5.0, "quick": 0.5})
    assert 2 <= order.count("slow") <= 3


def test_unused_time_of_a_tenant_is_not_carried_over() -> None:
    waiting = queue()
    for ticket in range(40):
        waiting.add("early", ticket)
    served(waiting, 20, {"early": 1.0})
    for ticket in range(40):
        waiting.add("late", ticket)
    order = served(waiting, 10, {"early": 1.0, "late": 1.0})
    assert 4 <= order.count("late") <= 6


def test_a_tenant_that_sends_one_at_a_time_gets_at_most_its_share() -> None:
    waiting = queue()
    for ticket in range(20):
        waiting.add("many", ticket)
    order = []
    waiting.add("one by one", 100)
    for _ in range(10):
        following = waiting.pop()
        assert following is not None
        order.append(following[0])
        waiting.charge(following[0], 1.0)
        if following[0] == "one by one":
            waiting.add("one by one", 100)
    assert 4 <= order.count("many") <= 6


def test_a_tenant_with_too_many_waiting_is_refused_alone() -> None:
    waiting = queue(most_per_tenant=2)
    waiting.add("acme", 1)
    waiting.add("acme", 2)
    with pytest.raises(TenantQueueFull) as refused:
        waiting.add("acme", 3)
    assert (refused.value.retry_after_s or 0) >= 1
    assert waiting.add("globex", 4) is None


def test_in_a_full_queue_a_new_tenant_displaces_the_newest_ticket_of_the_longest_flow() -> None:
    waiting = queue(most=4)
    for ticket in range(4):
        waiting.add("greedy", ticket)
    assert waiting.add("modest", 10) == 3
    assert waiting.add("modest", 11) == 2
    with pytest.raises(QueueFull):
        waiting.add("modest", 12)
    with pytest.raises(QueueFull):
        waiting.add("greedy", 13)
    assert len(waiting) == 4


def test_a_removed_ticket_is_not_served() -> None:
    waiting = queue()
    waiting.add("acme", 1)
    waiting.add("acme", 2)
    waiting.remove("acme", 1)
    waiting.remove("nobody", 1)
    assert waiting.pop() == ("acme", 2)


def test_the_retry_time_follows_from_how_long_uploads_take() -> None:
    waiting = queue(most_per_tenant=10)
    for ticket in range(10):
        waiting.add("acme", ticket)
    served(waiting, 5, {"acme": 4.0})
    for ticket in range(5):
        waiting.add("acme", ticket)
    with pytest.raises(TenantQueueFull) as refused:
        waiting.add("acme", 11)
    assert 10 < (refused.value.retry_after_s or 0) <= 40


def test_idle_tenants_are_forgotten() -> None:
    waiting = queue()
    for tenant in range(1_000):
        waiting.add(str(tenant), tenant)
    while following := waiting.pop():
        waiting.charge(following[0], 1.0)
    assert len(waiting._flows) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 5.0)), min_size=30, max_size=60))
def test_no_tenant_with_waiting_uploads_falls_behind_by_more_than_an_upload_each(
    uploads: list[tuple[str, float]],
) -> None:
    waiting = queue()
    seconds = dict(enumerate(cost for _, cost in uploads))
    for ticket, (tenant, _) in enumerate(uploads):
        waiting.add(tenant, ticket)
    left = {tenant: sum(one == tenant for one, _ in uploads) for tenant in "abc"}
    used = dict.fromkeys("abc", 0.0)
    while all(left.values()):
        following = waiting.pop()
        assert following is not None
        tenant, ticket = following
        waiting.charge(tenant, seconds[ticket])
        used[tenant] += seconds[ticket]
        left[tenant] -= 1
        assert max(used.values()) - min(used.values()) <= 5.0

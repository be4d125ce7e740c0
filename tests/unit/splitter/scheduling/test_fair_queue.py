"""The fair queue shares between tenants, then between the requests of each; it is work-conserving
and bounded."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.splitter.scheduling.fair_queue import FairQueue, Flow

LONGEST_S = 20.0
COSTS = st.floats(0.1, LONGEST_S)


def jain(shares: list[float]) -> float:
    """Return the fairness index of Jain, Chiu and Hawe (1984): 1 if all shares are equal."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def served_while_all_are_backlogged(
    flows: list[Flow], costs: list[list[float]], queue: FairQueue, rounds: int
) -> list[float]:
    """Make every flow request again as soon as it was granted; return the seconds granted to
    each."""
    served = [0.0] * len(flows)
    upcoming = [itertools.cycle(own) for own in costs]
    for flow, own in zip(flows, upcoming, strict=True):
        queue.request(flow, "standard", next(own))
    for _ in range(rounds):
        granted = queue.grant("standard", 1)
        assert granted is not None, "a sentence is pending and none is outstanding"
        index = flows.index(granted)
        served[index] += granted.cost_s
        queue.request(granted, "standard", next(upcoming[index]))
        queue.release(granted, "standard")
    return served


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data())
def test_tenants_share_evenly_however_many_requests_each_has(
    requests: list[int], data: st.DataObject
) -> None:
    queue = FairQueue()
    owners = [tenant for tenant, count in enumerate(requests) for _ in range(count)]
    flows = [queue.join(f"tenant-{owner}") for owner in owners]
    costs = [data.draw(st.lists(COSTS, min_size=1, max_size=5)) for _ in flows]
    served = served_while_all_are_backlogged(flows, costs, queue, rounds=80)
    shares = [
        sum(s for s, owner in zip(served, owners, strict=True) if owner == t)
        for t in range(len(requests))
    ]
    assert max(shares) - min(shares) <= 2 * LONGEST_S  # a sentence each: the bound of fair queueing


@given(st.integers(2, 8), st.data())
def test_the_requests_of_one_tenant_share_evenly(count: int, data: st.DataObject) -> None:
    queue = FairQueue()
    flows = [queue.join("one") for _ in range(count)]
    costs = [data.draw(st.lists(COSTS, min_size=1, max_size=5)) for _ in flows]
    served = served_while_all_are_backlogged(flows, costs, queue, rounds=60)
    assert max(served) - min(served) <= 2 * LONGEST_S


def test_one_request_against_ten_gets_half() -> None:
    queue = FairQueue()
    flows = [queue.join("small"), *(queue.join("large") for _ in range(10))]
    served = served_while_all_are_backlogged(flows, [[4.0]] * 11, queue, rounds=400)
    assert jain([served[0], sum(served[1:])]) > 0.99


@given(st.integers(1, 5), st.lists(COSTS, min_size=1, max_size=40))
def test_a_single_tenant_can_use_the_whole_capacity_but_not_exceed_it(
    capacity: int, costs: list[float]
) -> None:
    queue = FairQueue()
    flows = [queue.join("alone") for _ in costs]
    for flow, cost_s in zip(flows, costs, strict=True):
        queue.request(flow, "standard", cost_s)
    granted = list(iter(lambda: queue.grant("standard", capacity), None))
    assert len(granted) == min(capacity, len(costs))
    queue.release(granted[0], "standard")
    assert (queue.grant("standard", capacity) is not None) == (len(costs) > capacity)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["request", "grant", "release", "leave"])),
        max_size=120,
    )
)
def test_the_capacity_is_never_exceeded_and_never_left_unused(steps: list[tuple[int, str]]) -> None:
    queue, flows, capacity = FairQueue(), dict[int, Flow](), 3
    for number, step in steps:
        if step == "request":
            flow = (
                flows.setdefault(number, queue.join(f"tenant-{number % 2}"))
                if number not in flows
                else flows[number]
            )
            queue.request(flow, "standard", 1.0)
        elif step == "grant":
            pending = any(flow.lane for flow in flows.values())
            had_capacity = queue.outstanding["standard"] < capacity
            assert (queue.grant("standard", capacity) is not None) == (pending and had_capacity)
        elif number in flows and step == "release":
            queue.release(flows[number], "standard")
        elif number in flows:
            queue.leave(flows.pop(number))
        outstanding = sum(flow.outstanding["standard"] for flow in flows.values())
        assert outstanding == queue.outstanding["standard"] <= capacity


@given(st.lists(COSTS, min_size=1, max_size=30))
def test_a_request_does_not_starve_while_new_ones_keep_joining(costs: list[float]) -> None:
    queue = FairQueue()
    patient = queue.join("patient")
    queue.request(patient, "standard", LONGEST_S)
    queue.grant("standard", 1)
    queue.release(patient, "standard")
    # it was served already, so others come first, but not forever
    queue.request(patient, "standard", 1.0)
    for number in range(1_000):
        newcomer = queue.join(f"newcomer-{number}")
        queue.request(newcomer, "standard", costs[number % len(costs)])
        granted = queue.grant("standard", 1)
        if granted is patient:
            return
        assert granted is not None
        queue.release(granted, "standard")
        if granted is newcomer:
            queue.leave(newcomer)
    raise AssertionError("a thousand newcomers were served and the patient request was not")


def test_an_idle_request_accumulates_no_credit() -> None:
    queue = FairQueue()
    busy, away = queue.join("busy"), queue.join("away")
    served_while_all_are_backlogged([busy], [[5.0]], queue, rounds=50)
    queue.request(away, "standard", 5.0)
    granted = []
    for _ in range(6):
        flow = queue.grant("standard", 1)
        assert flow is not None
        granted.append(flow)
        queue.release(flow, "standard")
        queue.request(flow, "standard", 5.0)
    assert granted.count(away) <= 4
    assert granted.count(busy) >= 2


def test_a_first_sentence_does_not_wait_for_capacity_used_by_later_ones() -> None:
    queue = FairQueue()
    book, greeting = queue.join("one"), queue.join("one")
    queue.request(book, "standard", 5.0)
    assert queue.grant("standard", 1) is book
    queue.request(book, "standard", 5.0)
    queue.request(greeting, "express", 2.0)
    assert queue.grant("express", 1) is greeting
    assert queue.grant("standard", 1) is None


def test_tenants_without_requests_are_removed() -> None:
    queue = FairQueue()
    for number in range(100):
        flow = queue.join(f"tenant-{number}")
        queue.request(flow, "express", 3.0)
        assert queue.grant("express", 1) is flow
        queue.leave(flow)
    assert not queue._tenants

"""Turns: evenly by tenants, then by the requests of each, never idle while somebody wishes, never over the room."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.splitter.scheduling.fair_queue import FairQueue, Flow

LONGEST_S = 20.0
COSTS = st.floats(0.1, LONGEST_S)


def jain(shares: list[float]) -> float:
    """Return the fairness index of Jain, Chiu and Hawe (1984): 1 where all have the same."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def served_while_all_wish(members: list[Flow], costs: list[list[float]], turns: FairQueue, rounds: int) -> list[float]:
    """Let every member wish again as soon as it was granted; return the seconds that each was granted."""
    served = [0.0] * len(members)
    upcoming = [itertools.cycle(own) for own in costs]
    for member, own in zip(members, upcoming, strict=True):
        turns.ask(member, "standard", next(own))
    for _ in range(rounds):
        granted = turns.grant("standard", 1)
        assert granted is not None, "somebody wishes and nobody is outstanding"
        place = members.index(granted)
        served[place] += granted.cost_s
        turns.ask(granted, "standard", next(upcoming[place]))
        turns.done(granted, "standard")
    return served


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data())
def test_tenants_share_evenly_however_many_requests_each_has(requests: list[int], data: st.DataObject) -> None:
    turns = FairQueue()
    owners = [tenant for tenant, count in enumerate(requests) for _ in range(count)]
    members = [turns.join(f"tenant-{owner}") for owner in owners]
    costs = [data.draw(st.lists(COSTS, min_size=1, max_size=5)) for _ in members]
    served = served_while_all_wish(members, costs, turns, rounds=80)
    shares = [sum(s for s, owner in zip(served, owners, strict=True) if owner == t) for t in range(len(requests))]
    assert max(shares) - min(shares) <= 2 * LONGEST_S  # a sentence each: the bound of fair queueing


@given(st.integers(2, 8), st.data())
def test_the_requests_of_one_tenant_share_evenly(count: int, data: st.DataObject) -> None:
    turns = FairQueue()
    members = [turns.join("one") for _ in range(count)]
    costs = [data.draw(st.lists(COSTS, min_size=1, max_size=5)) for _ in members]
    served = served_while_all_wish(members, costs, turns, rounds=60)
    assert max(served) - min(served) <= 2 * LONGEST_S


def test_one_request_against_ten_gets_half() -> None:
    turns = FairQueue()
    members = [turns.join("small"), *(turns.join("large") for _ in range(10))]
    served = served_while_all_wish(members, [[4.0]] * 11, turns, rounds=400)
    assert jain([served[0], sum(served[1:])]) > 0.99


@given(st.integers(1, 5), st.lists(COSTS, min_size=1, max_size=40))
def test_a_tenant_alone_fills_all_the_room_and_no_more(room: int, costs: list[float]) -> None:
    turns = FairQueue()
    members = [turns.join("alone") for _ in costs]
    for member, cost_s in zip(members, costs, strict=True):
        turns.ask(member, "standard", cost_s)
    granted = list(iter(lambda: turns.grant("standard", room), None))
    assert len(granted) == min(room, len(costs))
    turns.done(granted[0], "standard")
    assert (turns.grant("standard", room) is not None) == (len(costs) > room)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ask", "grant", "done", "leave"])), max_size=120))
def test_whatever_happens_the_room_is_kept_and_used(steps: list[tuple[int, str]]) -> None:
    turns, members, room = FairQueue(), dict[int, Flow](), 3
    for who, what in steps:
        if what == "ask":
            member = members.setdefault(who, turns.join(f"tenant-{who % 2}")) if who not in members else members[who]
            turns.ask(member, "standard", 1.0)
        elif what == "grant":
            wished = any(member.lane for member in members.values())
            had_room = turns.outstanding["standard"] < room
            assert (turns.grant("standard", room) is not None) == (wished and had_room)
        elif who in members and what == "done":
            turns.done(members[who], "standard")
        elif who in members:
            turns.leave(members.pop(who))
        outstanding = sum(member.outstanding["standard"] for member in members.values())
        assert outstanding == turns.outstanding["standard"] <= room


@given(st.lists(COSTS, min_size=1, max_size=30))
def test_nobody_starves_while_newcomers_keep_coming(costs: list[float]) -> None:
    turns = FairQueue()
    patient = turns.join("patient")
    turns.ask(patient, "standard", LONGEST_S)
    turns.grant("standard", 1)
    turns.done(patient, "standard")
    turns.ask(patient, "standard", 1.0)  # it has had its turn, so others come first, but not for ever
    for number in range(1_000):
        newcomer = turns.join(f"newcomer-{number}")
        turns.ask(newcomer, "standard", costs[number % len(costs)])
        granted = turns.grant("standard", 1)
        if granted is patient:
            return
        assert granted is not None
        turns.done(granted, "standard")
        if granted is newcomer:
            turns.leave(newcomer)
    raise AssertionError("a thousand newcomers were served and the patient one was not")


def test_who_was_away_has_saved_up_nothing() -> None:
    turns = FairQueue()
    busy, away = turns.join("busy"), turns.join("away")
    served_while_all_wish([busy], [[5.0]], turns, rounds=50)
    turns.ask(away, "standard", 5.0)
    granted = []
    for _ in range(6):
        member = turns.grant("standard", 1)
        assert member is not None
        granted.append(member)
        turns.done(member, "standard")
        turns.ask(member, "standard", 5.0)
    assert granted.count(away) <= 4
    assert granted.count(busy) >= 2


def test_a_first_sentence_does_not_wait_for_room_that_later_ones_take() -> None:
    turns = FairQueue()
    book, greeting = turns.join("one"), turns.join("one")
    turns.ask(book, "standard", 5.0)
    assert turns.grant("standard", 1) is book
    turns.ask(book, "standard", 5.0)
    turns.ask(greeting, "express", 2.0)
    assert turns.grant("express", 1) is greeting
    assert turns.grant("standard", 1) is None


def test_tenants_who_are_gone_are_forgotten() -> None:
    turns = FairQueue()
    for number in range(100):
        member = turns.join(f"tenant-{number}")
        turns.ask(member, "express", 3.0)
        assert turns.grant("express", 1) is member
        turns.leave(member)
    assert not turns._tenants

"""The simulation of many workers: correct where theory has the answer."""

import random
from collections.abc import Iterator
from math import factorial

import pytest

from benchmarks.scale.cell import Shape
from benchmarks.scale.demand import MEAN_REQUEST_S, Request, requests
from benchmarks.scale.measured import RESULTS, WorkerSpeed, embedded, xtts
from benchmarks.scale.simulation import Scaling, Site, better_of_two, run

ONE_AT_A_TIME = WorkerSpeed((1.0,), (0.0,))


def one_sentence_each(a_second: float, mean_s: float, count: int) -> Iterator[Request]:
    dice, now_s = random.Random(5), 0.0
    for _ in range(count):
        now_s += dice.expovariate(a_second)
        yield Request(now_s, [dice.expovariate(1 / mean_s)])


def erlang_wait_s(servers: int, a_second: float, mean_s: float) -> float:
    """Mean wait in an M/M/c queue (Erlang 1917)."""
    load = a_second * mean_s
    last = load**servers / factorial(servers) * servers / (servers - load)
    waits = last / (sum(load**k / factorial(k) for k in range(servers)) + last)
    return waits * mean_s / (servers - load)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (8, 0.8)])
def test_the_wait_for_a_slot_follows_erlangs_formula(servers: int, load: float) -> None:
    a_second = load * servers / 3.0
    patient = Site(1, Shape(servers, ONE_AT_A_TIME, express=0, queue_wait_s=1e9))
    met = run(patient, one_sentence_each(a_second, 3.0, 100_000))
    mean_s = sum(met.first_s) / len(met.first_s)
    assert mean_s == pytest.approx(erlang_wait_s(servers, a_second, 3.0), rel=0.05)


def test_sentences_at_once_share_what_the_worker_makes() -> None:
    speed = WorkerSpeed((1.0, 1.5), (0.0, 0.0))
    pair = [Request(0.0, [6.0]), Request(0.0, [6.0, 3.0])]
    met = run(Site(1, Shape(1, speed, express=1, queue_wait_s=100)), pair)
    assert met.first_s == [0.0, 0.0]
    # Both get .75 s a second, so they stall until 8 s; then the last sentence is alone and keeps up.
    assert [request.stalled_s for request in pair] == pytest.approx([2.0, 2.0])
    assert pair[1].runs_out_s == pytest.approx(11.0)


def test_no_request_is_lost_and_a_full_cell_refuses() -> None:
    shape = Shape(4, embedded(RESULTS.read_text()))
    site = Site(3, shape, better_of_two)
    a_second = 5 * site.capacity / MEAN_REQUEST_S
    asked = list(requests(2, lambda _: a_second, a_second, 300))
    met = run(site, asked)
    assert met.asked == len(asked)
    assert len(met.refused_s) > len(asked) / 2
    assert all(request.heard in {0, len(request.sentences)} for request in asked)


def test_workers_that_come_later_end_the_refusals() -> None:
    shape = Shape(4, embedded(RESULTS.read_text()))
    a_second = 3 * shape.capacity / MEAN_REQUEST_S

    def refused(scaling: Scaling | None) -> list[float]:
        return run(
            Site(1, shape), requests(3, lambda _: a_second, a_second, 600), scaling=scaling
        ).refused_s

    alone, helped = refused(None), refused(Scaling(cold_s=120, most=40))
    assert max(alone) > 550
    assert 60 < max(helped) < 300


def test_every_engine_of_the_tables_is_found_in_them() -> None:
    results = RESULTS.read_text()
    assert embedded(results).slots == 2
    assert xtts("bfloat16", results).slots == 8
    with pytest.raises(ValueError, match="task bench:xtts"):
        xtts("float8", results)

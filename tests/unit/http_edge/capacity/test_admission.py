"""Admission counts seconds of sound, each once, and says honestly when to come back."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import UNSET

from services.common.wire.failures import QueueFull, TenantQueueFull
from services.common.wire.messages import SplitterState, WorkerState
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from tests.support.messages import EXAMPLES

[WORKER] = [message for message in EXAMPLES if isinstance(message, WorkerState)]
GREETING_S = 2.0
BOOK_S = 35_000.0


@dataclass
class Table:
    """Who is alive, as a test says."""

    said: list[Any] = field(default_factory=list)

    def alive(self) -> list[Any]:
        return self.said


@dataclass
class Door:
    """An admission with one worker of 3 slots that makes 4 s of sound a second."""

    settings: Settings = field(default_factory=Settings)
    workers: Table = field(default_factory=lambda: Table([WORKER]))
    splitters: Table = field(default_factory=Table)

    def __post_init__(self) -> None:
        fleet = Fleet("embedded", self.workers, self.splitters)  # type: ignore[arg-type]
        self.admission = Admission(fleet, self.settings, Metrics())

    def report(
        self, *taken: str, by_tenant: dict[str, tuple[str, ...]] | None = None, owed_s: float = 0.0, **due_s: float
    ) -> None:
        self.splitters.said = [
            SplitterState(
                splitter="splitter",
                requests=9,
                queued_audio_s=owed_s,
                due_audio_s=due_s,
                taken=taken,
                taken_by=by_tenant or UNSET,
            )
        ]


def slow(real_time_factor: float | None) -> WorkerState:
    fields = {name: getattr(WORKER, name) for name in WORKER.__struct_fields__}
    return WorkerState(**fields | {"real_time_factor": real_time_factor})


def let_in(door: Door, held: ExitStack, most: int = 1_000, tenant: str = "public") -> int:
    """Return how many greetings are let in before one is refused."""
    for number in range(most):
        try:
            held.enter_context(door.admission.admit(f"{tenant}-{number:08}", tenant, GREETING_S))
        except (QueueFull, TenantQueueFull):
            return number
    return most


def test_as_much_is_let_in_as_is_spoken_within_the_wait_and_no_more() -> None:
    with ExitStack() as held:
        assert let_in(Door(), held) == 10  # 20 s at 4 s a second


def test_what_is_over_makes_room() -> None:
    door = Door()
    with ExitStack() as held:
        let_in(door, held)
    with ExitStack() as held:
        assert let_in(door, held) == 10


def test_what_a_splitter_reports_is_counted_once() -> None:
    door = Door()
    with ExitStack() as held:
        let_in(door, held, most=5)
        before_s = door.admission.due_s()
        ids = tuple(f"public-{number:08}" for number in range(5))
        door.report(*ids, by_tenant={"public": ids}, owed_s=10.0, public=10.0)
        door.admission.note_reports()
        assert door.admission.due_s() == before_s == {"public": 10.0}
        door.report(public=4.0)  # later heartbeats do not name them any more
        assert door.admission.due_s() == {"public": 4.0}


def test_an_id_that_another_tenant_chose_as_well_is_not_taken_for_ones_own() -> None:
    door = Door()
    with ExitStack() as held:
        for tenant in ("acme", "globex"):
            held.enter_context(door.admission.admit("the-same-id", tenant, GREETING_S))
        door.report("the-same-id", by_tenant={"acme": ("the-same-id",)}, owed_s=2.0, acme=2.0)
        door.admission.note_reports()
        assert door.admission.due_s() == {"acme": 2.0, "globex": 2.0}


def test_a_splitter_that_names_no_tenants_is_understood() -> None:
    door = Door()
    with ExitStack() as held:
        held.enter_context(door.admission.admit("a-request", "acme", GREETING_S))
        door.report("a-request", owed_s=2.0, acme=2.0)
        door.admission.note_reports()
        assert door.admission.due_s() == {"acme": 2.0}


def test_nothing_slips_through_between_admission_and_the_next_report() -> None:
    door = Door()
    door.report("another-request", owed_s=12.0, public=12.0)
    with ExitStack() as held:
        assert let_in(door, held) == 4
        assert door.admission.owed_s() == 20.0


def test_a_tenant_over_its_share_is_told_so_and_others_are_let_in() -> None:
    door = Door(Settings(tenant_share=0.5))
    with ExitStack() as held:
        assert let_in(door, held, tenant="large") == 5
        with pytest.raises(TenantQueueFull):
            door.admission.check("large")
        assert let_in(door, held, tenant="small") == 5
        with pytest.raises(QueueFull):
            door.admission.check("another")


def test_a_refusal_says_when_what_is_due_is_spoken() -> None:
    door = Door()
    door.report(owed_s=40_000.0, public=60.0)
    with pytest.raises(QueueFull) as refused:
        door.admission.check("public")
    assert refused.value.retry_after_s == 15.0


def test_a_refusal_before_anything_was_measured_guesses_nothing() -> None:
    door = Door(workers=Table([slow(None)]))
    door.report(owed_s=60.0, public=60.0)
    with pytest.raises(QueueFull) as refused:
        door.admission.check("public")
    assert refused.value.retry_after_s is None


def test_beside_a_book_greetings_are_let_in_and_a_second_book_is_not() -> None:
    door = Door()
    with ExitStack() as held:
        held.enter_context(door.admission.admit("the-book", "public", BOOK_S))
        assert let_in(door, held, most=5) == 5
        with pytest.raises(QueueFull, match="long texts"):
            held.enter_context(door.admission.admit("second-book", "public", BOOK_S))


def test_every_slot_gets_a_greeting_however_slow_the_workers_are() -> None:
    with ExitStack() as held:
        assert let_in(Door(workers=Table([slow(8.0)])), held) == 3


def test_an_operator_may_set_how_much_is_due() -> None:
    with ExitStack() as held:
        assert let_in(Door(Settings(queue_audio_s=6.0)), held) == 3


def test_a_splitter_of_an_earlier_release_counts_without_tenants() -> None:
    door = Door()
    door.splitters.said = [SplitterState(splitter="old", requests=2, queued_audio_s=500.0)]
    assert sum(door.admission.due_s().values()) == 10.0

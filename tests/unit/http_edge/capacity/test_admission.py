"""Admission counts the backlog in seconds of audio, each request once, and reports when to retry."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from services.common.wire.failures import QueueFull, TenantQueueFull
from services.common.wire.messages import SplitterState, WorkerState
from services.common.wire.parts import EngineBacklog
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from tests.support.messages import EXAMPLES

[WORKER] = [message for message in EXAMPLES if isinstance(message, WorkerState)]
GREETING_S = 2.0
BOOK_S = 35_000.0


@dataclass
class FixedHeartbeats:
    """Heartbeats that a test sets."""

    states: list[Any] = field(default_factory=list)

    def alive(self) -> list[Any]:
        return self.states

    def heard_of(self, engine: str) -> bool:
        return any(state.engine == engine for state in self.states)


@dataclass
class Setup:
    """An admission with one worker of 3 slots that synthesizes 4 s of audio per second."""

    settings: Settings = field(default_factory=Settings)
    workers: FixedHeartbeats = field(default_factory=lambda: FixedHeartbeats([WORKER]))
    splitters: FixedHeartbeats = field(default_factory=FixedHeartbeats)

    def __post_init__(self) -> None:
        fleet = Fleet("embedded", self.workers, self.splitters)  # type: ignore[arg-type]
        self.metrics = Metrics()
        self.admission = Admission(fleet, self.settings, self.metrics)

    def report(
        self,
        *taken: str,
        by_tenant: dict[str, tuple[str, ...]] | None = None,
        backlog_s: float = 0.0,
        **due_s: float,
    ) -> None:
        self.splitters.states = [
            SplitterState(
                splitter="splitter",
                requests=9,
                queued_audio_s=backlog_s,
                due_audio_s=due_s,
                taken=taken,
                taken_by=by_tenant or UNSET,
            )
        ]


def slow(real_time_factor: float | None) -> WorkerState:
    fields = {name: getattr(WORKER, name) for name in WORKER.__struct_fields__}
    return WorkerState(**fields | {"real_time_factor": real_time_factor})


def admit_greetings(
    setup: Setup, held: ExitStack, most: int = 1_000, tenant: str = "public"
) -> int:
    """Return how many greetings are admitted before one is refused."""
    for number in range(most):
        try:
            held.enter_context(setup.admission.admit(f"{tenant}-{number:08}", tenant, GREETING_S))
        except (QueueFull, TenantQueueFull):
            return number
    return most


def test_admits_as_much_audio_as_is_synthesized_within_the_wait() -> None:
    with ExitStack() as held:
        assert admit_greetings(Setup(), held) == 10  # 20 s at 4 s a second


def test_a_finished_request_frees_its_share() -> None:
    setup = Setup()
    with ExitStack() as held:
        admit_greetings(setup, held)
    with ExitStack() as held:
        assert admit_greetings(setup, held) == 10


def test_what_a_splitter_reports_is_counted_once() -> None:
    setup = Setup()
    with ExitStack() as held:
        admit_greetings(setup, held, most=5)
        before_s = setup.admission.due_s()
        ids = tuple(f"public-{number:08}" for number in range(5))
        setup.report(*ids, by_tenant={"public": ids}, backlog_s=10.0, public=10.0)
        setup.admission.note_reports()
        assert setup.admission.due_s() == before_s == {"public": 10.0}
        setup.report(public=4.0)  # later heartbeats no longer list them
        assert setup.admission.due_s() == {"public": 4.0}


def test_the_same_id_of_two_tenants_counts_as_two_requests() -> None:
    setup = Setup()
    with ExitStack() as held:
        for tenant in ("acme", "globex"):
            held.enter_context(setup.admission.admit("the-same-id", tenant, GREETING_S))
        setup.report("the-same-id", by_tenant={"acme": ("the-same-id",)}, backlog_s=2.0, acme=2.0)
        setup.admission.note_reports()
        assert setup.admission.due_s() == {"acme": 2.0, "globex": 2.0}


def test_a_report_without_tenants_matches_by_request_id() -> None:
    setup = Setup()
    with ExitStack() as held:
        held.enter_context(setup.admission.admit("a-request", "acme", GREETING_S))
        setup.report("a-request", backlog_s=2.0, acme=2.0)
        setup.admission.note_reports()
        assert setup.admission.due_s() == {"acme": 2.0}


def test_no_request_is_missed_between_admission_and_the_next_report() -> None:
    setup = Setup()
    setup.report("another-request", backlog_s=12.0, public=12.0)
    with ExitStack() as held:
        assert admit_greetings(setup, held) == 4
        assert setup.admission.backlog_s() == 20.0


def test_a_tenant_over_its_share_is_refused_and_others_are_admitted() -> None:
    setup = Setup(Settings(tenant_share=0.5))
    with ExitStack() as held:
        assert admit_greetings(setup, held, tenant="large") == 5
        with pytest.raises(TenantQueueFull):
            setup.admission.check("large")
        assert admit_greetings(setup, held, tenant="small") == 5
        with pytest.raises(QueueFull):
            setup.admission.check("another")


def test_a_refusal_reports_when_the_immediate_backlog_is_synthesized() -> None:
    setup = Setup()
    setup.report(backlog_s=40_000.0, public=60.0)
    with pytest.raises(QueueFull) as refused:
        setup.admission.check("public")
    assert refused.value.retry_after_s == 15.0


def test_a_refusal_before_any_measurement_has_no_retry_time() -> None:
    setup = Setup(workers=FixedHeartbeats([slow(None)]))
    setup.report(backlog_s=60.0, public=60.0)
    with pytest.raises(QueueFull) as refused:
        setup.admission.check("public")
    assert refused.value.retry_after_s is None


def test_greetings_are_admitted_during_a_book_and_a_second_book_is_not() -> None:
    setup = Setup()
    with ExitStack() as held:
        held.enter_context(setup.admission.admit("the-book", "public", BOOK_S))
        assert admit_greetings(setup, held, most=5) == 5
        with pytest.raises(QueueFull, match="long texts"):
            held.enter_context(setup.admission.admit("second-book", "public", BOOK_S))


def test_every_slot_gets_a_greeting_however_slow_the_workers_are() -> None:
    with ExitStack() as held:
        assert admit_greetings(Setup(workers=FixedHeartbeats([slow(8.0)])), held) == 3


def test_a_configured_limit_replaces_the_measured_one() -> None:
    with ExitStack() as held:
        assert admit_greetings(Setup(Settings(queue_audio_s=6.0)), held) == 3


def test_a_splitter_of_an_earlier_release_counts_without_tenants() -> None:
    setup = Setup()
    setup.splitters.states = [SplitterState(splitter="old", requests=2, queued_audio_s=500.0)]
    assert sum(setup.admission.due_s().values()) == 10.0


@dataclass
class TwoEngines(Setup):
    """The same, with the edge's engine and `xtts`, which synthesizes 1 s of audio per second."""

    def __post_init__(self) -> None:
        xtts = msgspec.structs.replace(WORKER, engine="xtts", worker="xtts-1", real_time_factor=1.0)
        self.workers = FixedHeartbeats([WORKER, xtts])
        super().__post_init__()

    def report_engines(self, **by_engine: EngineBacklog) -> None:
        total = EngineBacklog(
            sum(each.queued_audio_s for each in by_engine.values()),
            {"public": sum(sum(each.due_audio_s.values()) for each in by_engine.values())},
        )
        self.splitters.states = [
            SplitterState(
                splitter="splitter",
                requests=9,
                queued_audio_s=total.queued_audio_s,
                due_audio_s=total.due_audio_s,
                by_engine=by_engine,
            )
        ]


def test_the_backlog_of_one_engine_does_not_fill_the_queue_of_another() -> None:
    setup = TwoEngines()
    setup.report_engines(xtts=EngineBacklog(60.0, {"public": 60.0}))
    setup.admission.check("public")
    setup.admission.check("public", "embedded")
    with pytest.raises(QueueFull) as refused:
        setup.admission.check("public", "xtts")
    assert refused.value.retry_after_s == 60.0  # at the speed of that engine

    setup.report_engines(embedded=EngineBacklog(60.0, {"public": 60.0}))
    setup.admission.check("public", "xtts")
    with pytest.raises(QueueFull):
        setup.admission.check("public")


def test_requests_that_no_splitter_counts_yet_count_for_their_engine() -> None:
    setup = TwoEngines()
    with ExitStack() as held:
        for number in range(3):  # 6 s, over 5 s at 1 s a second
            held.enter_context(
                setup.admission.admit(f"xtts-{number:08}", "public", GREETING_S, "xtts")
            )
        with pytest.raises(QueueFull):
            setup.admission.check("public", "xtts")
        assert admit_greetings(setup, held) == 10
        assert sum(setup.admission.due_s().values()) == 26.0  # the gauge counts all engines


def test_the_backlog_and_the_limit_of_each_engine_are_measured() -> None:
    setup = TwoEngines()
    setup.report_engines(
        xtts=EngineBacklog(90.0, {"public": 4.0}), misspelled=EngineBacklog(1.0, {"public": 1.0})
    )
    with setup.admission.admit("greeting", "public", GREETING_S):
        setup.admission.measure()
    names = ("tts_engine_queued_audio_seconds", "tts_engine_due_audio_seconds")
    limit = "tts_engine_due_audio_limit_seconds"
    assert [measured(setup, name, "xtts") for name in (*names, limit)] == [90.0, 4.0, 6.0]
    assert [measured(setup, name, "embedded") for name in (*names, limit)] == [2.0, 2.0, 20.0]
    assert measured(setup, limit, "misspelled") is None  # no worker has ever had that name
    assert setup.metrics.registry.get_sample_value("tts_due_audio_seconds") == 7.0

    setup.report_engines()
    setup.admission.measure()
    assert measured(setup, "tts_engine_due_audio_seconds", "xtts") == 0.0


def measured(setup: Setup, name: str, engine: str) -> float | None:
    return setup.metrics.registry.get_sample_value(name, {"engine": engine})


def test_a_long_text_is_refused_by_the_backlog_of_its_engine_alone() -> None:
    setup = TwoEngines()
    with ExitStack() as held:
        held.enter_context(setup.admission.admit("the-book", "public", BOOK_S, "xtts"))
        with pytest.raises(QueueFull, match="long texts"):
            held.enter_context(setup.admission.admit("second", "public", BOOK_S, "xtts"))
        held.enter_context(setup.admission.admit("of-another", "public", BOOK_S, "embedded"))


def test_a_splitter_of_an_earlier_release_counts_for_every_engine() -> None:
    setup = TwoEngines()
    setup.report(backlog_s=60.0, public=60.0)
    for engine in (None, "xtts"):
        with pytest.raises(QueueFull):
            setup.admission.check("public", engine)

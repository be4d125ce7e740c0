"""No tenant fills the bucket of requests that all share."""

from services.http_edge.speech.request_quota import RequestQuota


def test_a_tenant_that_has_filled_its_room_waits_and_others_do_not() -> None:
    room = RequestQuota(limit_bytes=100, lifetime_s=60)
    assert [room.take("acme", 40, now_s=0) for _ in range(3)] == [True, True, False]
    assert room.take("globex", 100, now_s=0)
    assert room.take("acme", 20, now_s=0)


def test_what_is_forgotten_makes_room() -> None:
    room = RequestQuota(limit_bytes=100, lifetime_s=60)
    assert room.take("acme", 100, now_s=0)
    assert not room.take("acme", 1, now_s=59)
    assert room.take("acme", 100, now_s=60)


def test_what_was_refused_after_all_is_not_counted() -> None:
    room = RequestQuota(limit_bytes=100, lifetime_s=60)
    assert room.take("acme", 60, now_s=0)
    room.release("acme", 60)
    assert room.take("acme", 100, now_s=0)
    room.release("acme", 7)  # of which there is none
    assert not room.take("acme", 1, now_s=0)
    room.release("globex", 7)

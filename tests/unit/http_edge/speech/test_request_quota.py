"""No tenant can fill the shared bucket of requests."""

from services.http_edge.speech.request_quota import RequestQuota


def test_a_tenant_at_its_quota_is_refused_and_other_tenants_are_not() -> None:
    quota = RequestQuota(limit_bytes=100, lifetime_s=60)
    assert [quota.take("acme", 40, now_s=0) for _ in range(3)] == [True, True, False]
    assert quota.take("globex", 100, now_s=0)
    assert quota.take("acme", 20, now_s=0)


def test_an_expired_request_frees_its_bytes() -> None:
    quota = RequestQuota(limit_bytes=100, lifetime_s=60)
    assert quota.take("acme", 100, now_s=0)
    assert not quota.take("acme", 1, now_s=59)
    assert quota.take("acme", 100, now_s=60)


def test_a_released_request_is_not_counted() -> None:
    quota = RequestQuota(limit_bytes=100, lifetime_s=60)
    assert quota.take("acme", 60, now_s=0)
    quota.release("acme", 60)
    assert quota.take("acme", 100, now_s=0)
    quota.release("acme", 7)  # no stored request has this size
    assert not quota.take("acme", 1, now_s=0)
    quota.release("globex", 7)

"""Extra slashes that are removed, and where a client is sent."""

from urllib.parse import urljoin

import pytest
from yarl import URL

from services.http_edge.http.canonical_paths import canonical, location


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/docs/", "/docs"),
        ("/docs///", "/docs"),
        ("//synthesize", "/synthesize"),
        ("/v1//audio/speech", "/v1/audio/speech"),
        ("//v1//audio/speech/", "/v1/audio/speech"),
        ("/v1x//audio", "/v1x//audio"),
        ("/voices/a%2F/", "/voices/a%2F"),
    ],
)
def test_a_slash_at_the_end_or_after_the_base_url_is_removed(path: str, wanted: str) -> None:
    assert canonical(path) == wanted


@pytest.mark.parametrize("path", ["/voices//preview", "/jobs//audio", "/v1/models//x", "/docs"])
def test_an_empty_id_stays_empty(path: str) -> None:
    assert canonical(path) == path


@pytest.mark.parametrize("prefix", ["", "/tts"])
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/docs/", "/docs"),
        ("/voices/?limit=1&q=a%20b", "/voices?limit=1&q=a%20b"),
        ("/requests/some-name/audio/", "/requests/some-name/audio"),
    ],
)
def test_the_target_keeps_the_query_and_the_path_prefix_of_a_proxy(
    prefix: str, path: str, wanted: str
) -> None:
    requested = URL(path, encoded=True)
    target = location(requested, canonical(requested.raw_path))
    assert urljoin(f"http://host{prefix}{path}", target) == f"http://host{prefix}{wanted}"


def test_a_path_that_looks_like_a_host_leads_to_no_other_host() -> None:
    requested = URL.build(path="//docs/", encoded=True)
    assert location(requested, canonical(requested.raw_path)).startswith("../")

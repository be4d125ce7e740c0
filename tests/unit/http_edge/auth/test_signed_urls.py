"""A signature holds for one path, one key and one hour at most."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.http_edge.auth.api_keys import Caller, Key
from services.http_edge.auth.signed_urls import (
    UrlSecrets,
    UrlSigner,
    is_signable,
    signed_path,
)
from services.http_edge.errors import CannotReadSecrets, SignedUrlInvalid

PATH = "/jobs/book-0001/audio?response_format=mp3"
KEY = Key(name="web", hash="ab" * 32, tenant="acme")
SIGNER = UrlSigner([b"s" * 64])


def verified(url: str, *keys: Key, signer: UrlSigner = SIGNER, now_s: float = 900.0) -> Key:
    sent = signed_path(url)
    if sent is None:
        raise SignedUrlInvalid("not signed")
    return signer.verified(sent, [Caller(key) for key in keys or (KEY,)], now_s).key


def test_a_signed_path_is_verified_until_it_expires() -> None:
    url = SIGNER.signed(PATH, KEY, 1_000)
    assert url.startswith(f"{PATH}&expires=1000&key=web&signature=")
    assert verified(url, now_s=999.9) == KEY
    with pytest.raises(SignedUrlInvalid, match="expired"):
        verified(url, now_s=1_000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("book-0001", "book-0002"),
        ("mp3", "wav"),
        ("expires=1000", "expires=9999"),
        ("key=web", "key=other"),
        ("&expires", "&from=1&expires"),
        ("audio?", "events?"),
        ("/jobs", "//jobs"),
    ],
)
def test_a_changed_url_is_refused(old: str, new: str) -> None:
    url = SIGNER.signed(PATH, KEY, 1_000)
    assert old in url
    with pytest.raises(SignedUrlInvalid):
        verified(url.replace(old, new, 1), KEY, Key(name="other", hash="cd" * 32, tenant="acme"))


@given(st.integers(0, 42), st.sampled_from("AZaz09_-"))
def test_no_other_signature_holds(index: int, letter: str) -> None:
    url = SIGNER.signed(PATH, KEY, 1_000)
    changed = url[: -43 + index] + letter + url[len(url) - 42 + index :]
    if changed != url:
        with pytest.raises(SignedUrlInvalid):
            verified(changed)


@pytest.mark.parametrize(
    "other",
    [
        Key(name="web", hash="cd" * 32, tenant="acme"),
        Key(name="web", hash="ab" * 32, tenant="globex"),
    ],
)
def test_a_url_ends_with_its_key(other: Key) -> None:
    url = SIGNER.signed(PATH, KEY, 1_000)
    with pytest.raises(SignedUrlInvalid):
        verified(url, other)
    assert verified(url, other, KEY) == KEY


def test_a_replaced_secret_verifies_until_it_is_removed() -> None:
    url = SIGNER.signed(PATH, KEY, 1_000)
    both = UrlSigner([b"n" * 64, b"s" * 64])
    assert verified(url, signer=both) == KEY
    assert both.signed(PATH, KEY, 1_000) == UrlSigner([b"n" * 64]).signed(PATH, KEY, 1_000)
    with pytest.raises(SignedUrlInvalid):
        verified(url, signer=UrlSigner([b"n" * 64]))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/jobs/book-0001/audio", True),
        ("/jobs/book-0001/events", True),
        ("/jobs/book-0001/subtitles.vtt", True),
        ("/requests/book-0001/audio?from=44&response_format=wav", True),
        ("/requests/book-0001/subtitles.srt", True),
        ("/requests/book-0001/sentences?from=3", True),
        ("/jobs/book-0001", False),
        ("/jobs/short/audio", False),
        ("/jobs/../voices/audio", False),
        ("/voices", False),
        ("https://evil.example/jobs/book-0001/audio", False),
        ("//evil.example/jobs/book-0001/audio", False),
        ("/jobs/book-0001/audio?expires=1", False),
        ("/jobs/book-0001/audio?a=1&signature=x", False),
        ("/jobs/book-0001/audio#t=3", False),
        ("/jobs/book-0001/audio?a=\n", False),
        ("/jobs/book-0001/audio?a=é", False),
        ("/jobs/book-0001/audio?" + "a" * 2048, False),
    ],
)
def test_only_what_browsers_read_is_signed(path: str, expected: bool) -> None:
    assert is_signable(path) is expected


@pytest.mark.parametrize("content", ["", "short", "\n".join(["s" * 32] * 5), "é" * 40])
def test_secrets_that_are_missing_or_weak_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets"
    with pytest.raises(CannotReadSecrets, match="URL_SECRETS_FILE"):
        UrlSecrets(path)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CannotReadSecrets, match="URL_SECRETS_FILE"):
        UrlSecrets(path)

"""The address and the key come from arguments or the environment, and the key is never shown."""

from pathlib import Path

import pytest

from voice_cloning_client import AsyncClient, InvalidInput
from voice_cloning_client.settings import access


def test_arguments_come_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    environment = {
        "VOICE_CLONING_SERVICE_URL": "https://voice.example.org/tts/",
        "VOICE_CLONING_API_KEY": "",
        "VOICE_CLONING_API_KEY_FILE": str(file),
    }
    assert access(None, None, {}).url == "http://localhost:8004"
    assert access(None, None, environment).url == "https://voice.example.org/tts"
    assert access(None, None, environment).api_key == "from-file"
    assert access("http://a:1", "given", environment).headers() == {"Authorization": "Bearer given"}
    assert access(None, "", environment).headers() == {}


@pytest.mark.parametrize("url", ["http://a:1/", "http://a:1//", " http://a:1/ \n"])
def test_an_address_with_a_slash_at_its_end_is_the_same_address(url: str) -> None:
    assert access(url, None, {}).url == "http://a:1"
    assert access(None, None, {"VOICE_CLONING_SERVICE_URL": url}).url == "http://a:1"


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "localhost:8004", "http://", "http://[::1", "http://a:99999", "http://a?b=c", "x"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="send one like"):
        access(url, None, {})


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "caf\u00e9", "k" * 5000])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        access(None, key, {})
    assert key not in str(caught.value)


def test_a_password_in_the_address_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        access("http://me:secret@a", None, {})
    assert "secret" not in str(caught.value)


def test_the_key_is_not_in_any_representation() -> None:
    client = AsyncClient("http://localhost:8004", api_key="secret-key")
    shown = repr(client) + repr(client._transport.access) + str(vars(client))
    assert "secret-key" not in shown

"""Paths with an extra slash, as browser users and clients with a base URL make them, at a real edge."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from yarl import URL

from services.admin import keys as api_keys
from tests.support.front import SETTINGS, Front, front

SPEECH = {"model": "tts-1", "voice": "low", "input": "Hello.", "response_format": "pcm"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats")) as made:
        yield made


def url(service: Front, path: str) -> URL:
    return URL(service.addresses[0] + path, encoded=True)


@pytest.mark.asyncio(loop_scope="module")
class TestExtraSlashes:
    @pytest.mark.parametrize(
        "path", ["/docs/", "/docs//", "//docs", "/openapi.json/", "/voices/?limit=1", "/v1//models"]
    )
    async def test_a_reader_is_sent_to_the_path_that_exists(
        self, service: Front, path: str
    ) -> None:
        async with service.session.get(url(service, path)) as response:
            assert response.status == 200
            assert [hop.status for hop in response.history] == [308]
            assert response.url.query_string == URL(path).query_string

    async def test_a_post_keeps_its_body(self, service: Front) -> None:
        whole = []
        for path in ("/v1/audio/speech", "/v1//audio/speech", "/v1/audio/speech/"):
            async with service.session.post(
                url(service, path), json=SPEECH | {"seed": 1}
            ) as response:
                assert response.status == 200, path
                whole.append(await response.read())
        assert len(whole[0]) > 1000
        assert whole[0] == whole[1] == whole[2]

    @pytest.mark.parametrize("path", ["/nothing/", "/voices//preview"])
    async def test_a_path_that_does_not_exist_stays_unknown(
        self, service: Front, path: str
    ) -> None:
        async with service.session.get(url(service, path)) as response:
            assert response.status == 404
            assert not response.history

    @pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing"])
    async def test_openai_clients_get_their_error_at_every_unknown_path(
        self, service: Front, path: str
    ) -> None:
        async with service.session.get(url(service, path)) as response:
            assert response.status == 404
            assert (await response.json())["error"]["code"] == "not_found"


async def test_a_redirect_needs_no_key_and_opens_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    api_keys.main([str(keys), "--name", "acme-web", "--tenant", "acme"])
    (tmp_path / "nats").mkdir()
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(keys))
    async with front(tmp_path / "nats", settings=settings) as keyed:
        for path, status in (("/docs/", 200), ("/health/", 200), ("/voices/", 401)):
            async with keyed.session.get(url(keyed, path)) as response:
                assert response.status == status, path

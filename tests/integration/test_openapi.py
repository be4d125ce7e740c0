"""The OpenAPI document, its page and the start page, at a real edge; and the query parameters that it lists."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from services.admin import keys as api_keys
from services.http_edge.api_document.document import OPERATIONS
from services.http_edge.app import edge
from services.http_edge.http.queries import QUERIES
from tests.support.buses import bus_of
from tests.support.decoders import CachedDecoder
from tests.support.front import SETTINGS, Front, front

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
OPEN = ("/", "/openapi.json", "/docs", "/docs/page.js", "/docs/swagger-ui.css")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    settings = msgspec.structs.replace(SETTINGS, ui_url="https://ui.example.org/?a=1&b=2")
    async with front(tmp_path_factory.mktemp("nats"), settings=settings) as made:
        yield made


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Front]:
    keys = tmp_path / "keys.toml"
    api_keys.main([str(keys), "--name", "acme-web", "--tenant", "acme"])
    (tmp_path / "nats").mkdir()
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(keys))
    async with front(tmp_path / "nats", settings=settings) as made:
        yield made


def routes_of(app: web.Application) -> set[tuple[str, str]]:
    """Return every method and path that an application serves."""
    served = set()
    for route in app.router.routes():
        assert route.resource is not None
        if route.method not in ("HEAD", "*"):  # HEAD comes with GET; * refuses
            served.add((route.method.lower(), route.resource.canonical))
    return served


async def test_every_route_is_in_the_document_and_the_document_has_no_others(
    tmp_path: Path,
) -> None:
    async with (
        bus_of("memory", tmp_path) as bus,
        CachedDecoder() as decoder,
        edge(bus, decoder, SETTINGS, asyncio.Event()) as app,
    ):
        served = routes_of(app)
    assert served == {(operation.method, operation.path) for operation in OPERATIONS}


async def test_every_path_with_query_parameters_is_a_route() -> None:
    paths = {operation.path for operation in OPERATIONS if operation.method == "get"}
    assert set(QUERIES) <= paths


@pytest.mark.asyncio(loop_scope="module")
class TestDocuments:
    async def test_the_document_has_a_validator_and_is_sent_once(self, service: Front) -> None:
        async with await service.get("/openapi.json") as response:
            assert response.status == 200
            assert response.content_type == "application/json"
            assert response.headers["Cache-Control"] == "no-cache"
            document = await response.json()
            etag = response.headers["ETag"]
        assert document["openapi"].startswith("3.1")
        assert document["servers"] == [{"url": "./"}]
        async with await service.get("/openapi.json", headers={"If-None-Match": etag}) as again:
            assert again.status == 304
            assert again.headers["ETag"] == etag
            assert await again.read() == b""

    async def test_browsers_get_a_page_at_the_root_and_others_json(self, service: Front) -> None:
        for accept, expected in (
            (BROWSER, "text/html"),
            ("text/html", "text/html"),
            ("*/*", "application/json"),
            ("application/json", "application/json"),
            ("application/json, text/html;q=0.5", "application/json"),
            ("text/html;q=0", "application/json"),
            ("text/html;q=none", "application/json"),
            ("", "application/json"),
        ):
            async with await service.get("/", headers={"Accept": accept}) as response:
                assert response.status == 200
                assert response.content_type == expected, accept
                assert response.headers["Vary"] == "Accept"

    async def test_the_page_links_the_documents_the_ui_and_a_command(self, service: Front) -> None:
        async with await service.get("/", headers={"Accept": BROWSER}) as response:
            policy = response.headers["Content-Security-Policy"]
            page = await response.text()
        assert "'unsafe" not in policy
        assert "http" not in policy
        for link in ('href="docs"', 'href="health"', 'href="languages"', 'href="openapi.json"'):
            assert link in page
        assert 'href="https://ui.example.org/?a=1&amp;b=2"' in page
        assert f"curl {service.addresses[0]}/synthesize" in page

    async def test_a_file_that_does_not_exist_is_a_problem(self, service: Front) -> None:
        async with await service.get("/docs/nothing.js") as response:
            assert response.status == 404
            assert response.content_type == "application/problem+json"
            assert (await response.json(content_type=None))["code"] == "not_found"

    async def test_responses_with_data_are_not_cached_and_load_nothing(
        self, service: Front
    ) -> None:
        async with await service.get("/languages") as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")

    @pytest.mark.parametrize(
        "path",
        [
            "/jobs/some-job-1?x=1",
            "/jobs/some-job-1/events?from=1",
            "/jobs/some-job-1/audio?from=1",
            "/requests/some-name/audio?form=1",
            "/requests/some-name/audio?from=1&from=2",
            "/requests/some-name/sentences?to=1",
            "/voices/anna?language=en",
            "/voices/anna/preview?lang=en",
            "/voices/anna/export?x",
            "/voices?limits=1",
            "/voices?limit=1&limit=2",
        ],
    )
    async def test_unknown_and_repeated_query_parameters_are_refused(
        self, service: Front, path: str
    ) -> None:
        async with await service.get(path) as response:
            problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (400, "bad_request")
        assert "query parameter" in problem["detail"]

    @pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PUT"])
    async def test_every_method_refuses_an_unknown_query_parameter(
        self, service: Front, method: str
    ) -> None:
        path = "/voices/anna/clips" if method == "PUT" else "/voices/anna"
        path = "/synthesize" if method == "POST" else path
        url = f"{service.addresses[0]}{path}?speed=2"
        async with service.session.request(method, url) as response:
            problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (400, "bad_request")
        assert "unknown query parameter speed" in problem["detail"]

    @pytest.mark.parametrize("path", ["/health", "/", "/readyz", "/v1/models", "/docs"])
    async def test_probes_and_openai_paths_accept_any_query(
        self, service: Front, path: str
    ) -> None:
        async with await service.get(f"{path}?api-version=1") as response:
            assert response.status == 200

    @pytest.mark.parametrize(
        ("path", "allowed"), [("/voices/uploads", "DELETE"), ("/voices/import", "POST")]
    )
    async def test_fixed_paths_are_not_voices(
        self, service: Front, path: str, allowed: str
    ) -> None:
        for method in ("GET", "HEAD", "PATCH", "PUT", "OPTIONS"):
            url = f"{service.addresses[0]}{path}"
            async with service.session.request(method, url) as response:
                assert (response.status, response.headers["Allow"]) == (405, allowed)


async def test_documents_need_no_key_and_everything_else_still_does(keyed: Front) -> None:
    for path in OPEN:
        async with await keyed.get(path) as response:
            assert response.status == 200, path
    async with await keyed.get("/openapi.json") as response:
        assert (await response.json())["security"] == [{"bearer": []}, {"apiKey": []}]
    for path in ("/docs/../voices", "/docs%2f..%2fvoices", "/voices", "/docsx", "/v1/models"):
        address = f"{keyed.addresses[0]}{path}"
        async with aiohttp.request("GET", address) as response:
            assert response.status == 401, path

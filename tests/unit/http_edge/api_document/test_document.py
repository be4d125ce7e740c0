"""The OpenAPI document agrees with the code: every failure, field, bound and header."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import services.common.bus
import services.http_edge
from services.common.wire.failures import PipelineError
from services.common.wire.languages import LANGUAGES
from services.common.wire.parameters import RANGES
from services.http_edge.api_document.document import OPERATIONS, openapi
from services.http_edge.api_document.failures import STARTING
from services.http_edge.api_document.pages import VIEWER, start_page
from services.http_edge.auth.headers import REQUEST_HEADERS
from services.http_edge.encoders.registry import FORMATS, SAMPLE_RATES_HZ
from services.http_edge.settings import Settings

ROOT = Path(__file__).parents[4]
ASSETS = ROOT / "services" / "http_edge" / "api_document" / "assets"
SETTINGS = Settings(engine="tone", max_text_characters=5_000, max_job_characters=70_000)
DOCUMENT = openapi(SETTINGS)
VENDORED = {  # of the npm package swagger-ui-dist 5.35.0
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}
HANDED_BACK = "handed_back"  # to the queue: no client gets it


def form_of(path: str, method: str = "post") -> dict[str, Any]:
    body = DOCUMENT["paths"][path][method]["requestBody"]
    schema: dict[str, Any] = body["content"]["multipart/form-data"]["schema"]
    return schema


def raised_codes() -> set[str]:
    """Return the codes of every failure that the edge's modules define."""
    for package in (services.http_edge, services.common.bus):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    pending: list[type[PipelineError]] = [PipelineError]
    codes = set()
    while pending:
        failure = pending.pop()
        pending += failure.__subclasses__()
        if failure.__module__.startswith(("services.http_edge", "services.common")):
            codes.add(failure.code)
    return codes - {failure.code for failure in STARTING} - {HANDED_BACK}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_code_that_the_edge_can_send_is_listed() -> None:
    listed = set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    of_http = {"not_found", "method_not_allowed", "forbidden", "expectation_failed"}
    assert listed == raised_codes() | of_http


def test_every_response_lists_its_codes() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response["content"], (path, status)
                    assert "`" in response["description"], (path, status)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]


def test_operations_have_different_names() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_bounds_of_parameters_are_those_that_are_checked() -> None:
    properties = form_of("/synthesize")["properties"]
    for name, allowed in RANGES.items():
        numbers = properties[name].get("anyOf", [properties[name]])[0]
        assert (numbers["minimum"], numbers["maximum"]) == (allowed.lowest, allowed.highest)
        assert numbers["type"] == ("integer" if allowed.whole else "number")


def test_languages_formats_and_rates_are_those_of_the_code() -> None:
    properties = form_of("/stream")["properties"]
    assert properties["language"]["enum"] == ["auto", *LANGUAGES]
    assert properties["response_format"]["enum"] == list(FORMATS)
    assert properties["sample_rate"]["enum"] == list(SAMPLE_RATES_HZ)


def test_lengths_of_texts_are_those_of_the_settings() -> None:
    assert form_of("/synthesize")["properties"]["text"]["maxLength"] == 5_000
    assert form_of("/normalize")["properties"]["text"]["maxLength"] == 5_000
    assert form_of("/jobs")["properties"]["text"]["maxLength"] == 70_000
    sent = DOCUMENT["paths"]["/v1/audio/speech"]["post"]["requestBody"]["content"]
    assert sent["application/json"]["schema"]["properties"]["input"]["maxLength"] == 5_000


def test_a_job_has_no_format_and_can_have_a_file() -> None:
    properties = form_of("/jobs")["properties"]
    assert "text_file" in properties
    assert "response_format" not in properties


def test_the_headers_that_a_page_of_another_origin_may_send_are_described() -> None:
    assert "traceparent" in REQUEST_HEADERS
    assert all(REQUEST_HEADERS.values())


def test_with_api_keys_every_path_but_the_open_ones_needs_one() -> None:
    document = openapi(Settings(api_keys_file="keys.toml"))
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    assert {} in DOCUMENT["security"]
    for path in ("/health", "/openapi.json", "/docs"):
        assert document["paths"][path]["get"]["security"] == []
    assert "security" not in document["paths"]["/synthesize"]["post"]


def test_the_document_is_json_and_the_same_each_time() -> None:
    assert json.dumps(openapi(SETTINGS)) == json.dumps(DOCUMENT)


@pytest.mark.parametrize("name", VENDORED)
def test_vendored_files_are_those_that_were_published(name: str) -> None:
    assert sha256((ASSETS / name).read_bytes()).hexdigest() == VENDORED[name]


def test_the_licence_of_the_viewer_is_shipped_with_it() -> None:
    assert "Apache License" in (ASSETS / "swagger-ui.LICENSE.txt").read_text()
    assert "swagger-ui-dist 5.35.0" in (ROOT / "NOTICE").read_text()


def test_pages_load_nothing_from_other_hosts_and_have_no_inline_scripts() -> None:
    page = start_page(
        name="it", engine="tone", address="http://localhost:1", ui_url="https://ui.example.org"
    )
    for content in (VIEWER, page):
        assert "<script>" not in content
        assert "style=" not in content
        assert 'src="http' not in content
        assert 'stylesheet" href="http' not in content


def test_the_start_page_escapes_what_it_shows() -> None:
    page = start_page(
        name="it", engine="tone", address="http://a'<script>&", ui_url='https://x/"><script>'
    )
    assert "<script>" not in page
    assert "&lt;script&gt;" in page

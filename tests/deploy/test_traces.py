"""One request is one tree of spans, over all processes, as an OpenTelemetry collector receives it."""

import asyncio
import gzip
from pathlib import Path

import aiohttp
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.common.runtime.local_nats import free_port
from tests.chaos.parts import house
from tests.support.front import form
from tests.support.service import TEXT, sentence_count

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_a_request_is_one_tree_from_http_to_every_sentence(tmp_path: Path) -> None:
    spans: dict[str, tuple[str, str, str, str]] = {}  # id -> trace, parent, service, name

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        encoded = (
            gzip.decompress(body)
            if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b"
            else body
        )
        for resource in ExportTraceServiceRequest.FromString(encoded).resource_spans:
            [service] = [
                one.value.string_value
                for one in resource.resource.attributes
                if one.key == "service.name"
            ]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                spans[span.span_id.hex()] = (
                    span.trace_id.hex(),
                    span.parent_span_id.hex(),
                    service,
                    span.name,
                )
                assert TEXT[:10] not in str(span), "a text is in a span"
        return web.Response()

    app, port = web.Application(), free_port()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    wanted = 3 + 2 * sentence_count(TEXT, 250)
    async with (
        house(tmp_path, splitters=1, workers=2, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        async with session.post(
            f"{service.address()}/stream", data=form(), headers=headers
        ) as response:
            await response.read()
            told = response.headers["traceparent"]
        async with asyncio.timeout(60):
            while len(spans) < wanted:
                await asyncio.sleep(0.1)
    await runner.cleanup()
    assert {trace for trace, *_ in spans.values()} == {TRACE}
    tree = [
        (name, service, spans[parent][3] if parent in spans else "")
        for _, parent, service, name in spans.values()
    ]
    sentences = sentence_count(TEXT, 250)
    assert sorted(tree) == sorted(
        [
            ("POST stream", "http_edge", ""),
            ("splitter", "splitter", "POST stream"),
            ("division", "splitter", "splitter"),
            ("worker-tone-express", "synth_worker", "splitter"),
            ("synthesis", "synth_worker", "worker-tone-express"),
            *[("worker-tone-standard", "synth_worker", "splitter")] * (sentences - 1),
            *[("synthesis", "synth_worker", "worker-tone-standard")] * (sentences - 1),
        ]
    )
    [edge] = [
        (number, parent) for number, (_, parent, _, name) in spans.items() if name == "POST stream"
    ]
    assert edge[1] == CALLER
    assert told == f"00-{TRACE}-{edge[0]}-01"

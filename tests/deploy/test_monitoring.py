"""Prometheus, its rules, the dashboards and the logs, against a service that really runs."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import free_port
from services.common.wire import subjects
from tests.chaos.parts import ROOT, House, house
from tests.support.front import form
from tests.support.service import TEXT

DEPLOY = ROOT / "deploy"
_DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
_RULES = DEPLOY / "prometheus" / "rules"
_SCRAPES_S = 1


def tool(name: str, package: str = "prometheus") -> str:
    """Return a program's path."""
    path = shutil.which(name)
    assert path, f"install {name} (Debian: {package}), or run `./task setup:deploy`"
    return path


async def told(*command: str) -> str:
    """Run a program and return its output. Fails where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    said = await told(
        tool("promtool"), "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")
    )
    assert "SUCCESS: 2 rule files found" in said


async def test_each_alert_fires_for_what_it_is_for_and_is_silent_in_an_ordinary_hour() -> None:
    rules = (_RULES / "alerts.yml").read_text()
    cases = (DEPLOY / "prometheus" / "tests" / "alerts.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", rules):
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts:", cases), f"nothing fires {alert}"
        assert f"{{eval_time: 59m, alertname: {alert}}}" in cases, f"{alert} may always fire"
    await told(
        tool("promtool"), "test", "rules", str(DEPLOY / "prometheus" / "tests" / "alerts.yml")
    )


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts by name."""
    groups = yaml.safe_load((_RULES / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_each_alert_has_a_section_in_the_runbook_and_each_section_an_alert() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert re.findall(r"^### (\w+)$", runbook, re.MULTILINE) == [*alerts()]
    for name, rule in alerts().items():
        url = rule["annotations"]["runbook_url"]
        assert url == f"https://docs.voice.example/runbook#{name.lower()}"
        assert f"### {name}\n\n{rule['labels']['severity']}" in runbook, name


def test_a_cause_silences_only_alerts_that_there_are() -> None:
    routing = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    receivers = {receiver["name"] for receiver in routing["receivers"]}
    assert {
        route["receiver"] for route in [routing["route"], *routing["route"]["routes"]]
    } == receivers
    for rule in routing["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            if matcher.startswith("alertname"):
                [names] = re.findall(r'=~"(.+)"', matcher)
                for pattern in names.split("|"):
                    assert any(re.fullmatch(pattern, name) for name in alerts()), pattern


async def test_the_configuration_of_alertmanager_is_valid() -> None:
    await told(
        tool("amtool", "prometheus-alertmanager"),
        "check-config",
        str(DEPLOY / "alertmanager" / "alertmanager.yml"),
    )


@dataclass
class Watched:
    """A service under load, and a Prometheus that scrapes it."""

    folder: Path
    prometheus: str
    session: aiohttp.ClientSession

    async def ask(self, query: str) -> list[dict[str, object]]:
        """Return the result of a query. Fails where Prometheus cannot parse it."""
        async with self.session.get(
            f"{self.prometheus}/api/v1/query", params={"query": query}
        ) as response:
            said = await response.json()
            assert said["status"] == "success", (query, said)
            result: list[dict[str, object]] = said["data"]["result"]
            return result

    async def firing(self) -> set[str]:
        """Return the alerts that fire."""
        async with self.session.get(f"{self.prometheus}/api/v1/alerts") as response:
            alerts = (await response.json())["data"]["alerts"]
            return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def names(self) -> set[str]:
        """Return every metric that Prometheus has."""
        async with self.session.get(f"{self.prometheus}/api/v1/label/__name__/values") as response:
            return set((await response.json())["data"])

    def logs(self) -> list[dict[str, object]]:
        """Return every line that the service has logged."""
        lines = [
            line
            for path in sorted(self.folder.glob("*-0.log"))
            for line in path.read_text().splitlines()
        ]
        return [json.loads(line) for line in lines]


def configuration(folder: Path, targets: dict[str, int], rules: Path) -> Path:
    """Write the deployed configuration with this machine's targets."""
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("15s", f"{_SCRAPES_S}s").replace("rules/*.yml", f"{rules}/*.yml")
    for job, port in targets.items():
        text, found = re.subn(
            rf"(job_name: {job}\b.*\n\s+)dns_sd_configs: .*",
            rf"\1static_configs: [{{targets: ['127.0.0.1:{port}']}}]",
            text,
        )
        assert found == 1, job
    path = folder / "prometheus.yml"
    path.write_text(text.replace("localhost:9090", f"127.0.0.1:{targets['http-edge']}"))
    return path


@asynccontextmanager
async def prometheus(
    folder: Path, service: House, session: aiohttp.ClientSession, rules: Path = _RULES
) -> AsyncIterator[Watched]:
    """Run a Prometheus that scrapes the first process of each kind, while the block runs."""
    kinds = {"http-edge": service.edges, "splitter": service.splitters, "worker": service.workers}
    targets = {kind: parts[0].http_port for kind, parts in kinds.items()}
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        tool("prometheus"),
        f"--config.file={configuration(folder, targets, rules)}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        await until_answered(session, f"{address}/-/ready")
        yield Watched(folder, address, session)
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    settings = {"TONE_CRASH_WORD": "boom", "TONE_REAL_TIME_FACTOR": "0.05"}
    async with (
        house(tmp_path, splitters=1, workers=1, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        async with prometheus(tmp_path, service, session) as made:
            await _under_load(service, session)
            await _until_scraped(made, 3)
            await _under_load(service, session)
            await asyncio.sleep(3 * _SCRAPES_S)
            yield made
        for part in service.parts:
            await part.stop()


async def _under_load(service: House, session: aiohttp.ClientSession) -> None:
    for endpoint, fields, status in (
        ("synthesize", {}, 200),
        ("stream", {}, 200),
        (
            "synthesize",
            {"text": "Every word is harmless but boom, and then it goes on for a while."},
            502,
        ),
        ("synthesize", {"language": "xx"}, 422),
    ):
        async with session.post(f"{service.address()}/{endpoint}", data=form(**fields)) as response:
            await response.read()
            assert response.status == status, await response.text()

    async with session.post(
        f"{service.address()}/stream", data=form(text=" ".join([TEXT] * 20))
    ) as response:
        await response.content.readany()  # and leaves, in the middle of a sentence


async def until_answered(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until a server that starts answers 200. Prometheus answers 503 until its storage is open."""
    async with asyncio.timeout(60):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)


async def _until_scraped(watched: Watched, targets: int) -> None:
    async with asyncio.timeout(60):
        while len(await watched.ask("up == 1")) < targets:
            await asyncio.sleep(0.3)


async def test_a_dead_nats_is_seen_in_the_metrics_of_an_edge_and_pages_for_as_long_as_it_is_dead(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in _RULES.glob("*.yml"):
        (rules / path.name).write_text(
            path.read_text().replace("for: 1m", f"for: {3 * _SCRAPES_S}s")
        )
    async with (
        house(tmp_path, splitters=1, workers=1) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)

        async def queues_and_connection() -> list[str]:
            async with session.get(f"{service.address()}/metrics") as response:
                lines = (await response.text()).splitlines()
            return [
                line
                for line in lines
                if line.startswith(("tts_queue_", "tts_consumer_", "tts_bus_connected"))
            ]

        async with prometheus(tmp_path, service, session, rules) as watched:
            await _until_scraped(watched, 3)
            async with asyncio.timeout(60):
                while not await watched.ask("tts_queue_depth"):
                    await asyncio.sleep(0.3)
            assert "tts_bus_connected 1.0" in await queues_and_connection()
            assert "NatsAway" not in await watched.firing()

            await service.nats.kill()
            async with asyncio.timeout(60):
                while "NatsAway" not in await watched.firing():
                    await asyncio.sleep(0.3)
            for _ in range(20):  # and does not flap: an alert that ended would have to wait again
                assert await queues_and_connection() == ["tts_bus_connected 0.0"]
                assert "NatsAway" in await watched.firing()
                await asyncio.sleep(0.5)
            assert {
                str(one["metric"]["job"]) for one in await watched.ask("tts_bus_connected == 0")
            } >= {  # type: ignore[index]
                "http-edge",
                "splitter",
                "worker",
            }

            await service.nats.start()
            async with asyncio.timeout(60):
                while "NatsAway" in await watched.firing():
                    await asyncio.sleep(0.3)
            assert "tts_bus_connected 1.0" in await queues_and_connection()


async def _fill_audio(service: House) -> None:
    """Store 7 MB of audio that no listener requested."""
    bus = await NatsBus.connect(service.nats.url, name="test")
    for number in range(14):
        subject = subjects.chunk("public", "ab" * 16, 0, number)
        await bus.publish(subject, bytes(500_000), message_id=str(number))
    await bus.close()


async def test_failures_dead_letters_and_a_full_stream_are_alerts_of_a_running_service(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in _RULES.glob("*.yml"):
        (rules / path.name).write_text(re.sub(r"for: \d+[mh]", "for: 2s", path.read_text()))
    settings = {"TONE_CRASH_WORD": "boom", "AUDIO_STORE_BYTES": "8000000"}
    async with (
        house(tmp_path, splitters=1, workers=1, settings=settings) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)

        async def posted(text: str) -> int:
            async with session.post(
                f"{service.address()}/synthesize", data=form(text=text)
            ) as response:
                await response.read()
                return response.status

        async with prometheus(tmp_path, service, session, rules) as watched:
            await _until_scraped(watched, 3)
            assert await posted(TEXT) == 200
            assert await posted("Every word is harmless but boom, and then it is over.") == 502
            await _fill_audio(service)
            [worker] = service.workers
            await worker.stop()
            for _ in range(25):  # the least that counts
                assert await posted(TEXT) == 503
            expected = {"FailuresBurnFast", "DeadLetters", "StreamFills", "NoWorkerReady"}
            async with asyncio.timeout(60):
                while not expected <= await watched.firing():
                    await asyncio.sleep(0.5)
            assert not {"NatsAway", "NoEdge", "NoSplitter", "StreamFull"} & await watched.firing()


# Metrics of the kubelet (cAdvisor in Compose), of kube-state-metrics, of exporters and of cert-manager.
OF_OTHERS = {
    "certmanager_certificate_expiration_timestamp_seconds",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "probe_ssl_earliest_cert_expiry",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "kube_deployment_spec_replicas",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
}


def expressions() -> list[tuple[str, str]]:
    """Return every PromQL expression of the dashboards, the rules and the documents, with where it is."""
    found = []
    for path in _DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            if panel["datasource"]["type"] == "prometheus":
                found += [
                    (f"{path.name}: {panel['title']}", target["expr"])
                    for target in panel["targets"]
                ]
    rules = [line for path in _RULES.glob("*.yml") for line in path.read_text().split("expr:")[1:]]
    for rule in rules:
        text = re.split(r"\n\s+(?:for|labels|annotations|- record|- alert):|\n  - name", rule)[0]
        text = re.sub(r"\n\s+#.*", "", text)  # about the next rule
        found.append(("rules", " ".join(text.replace(">-", "").split())))
    [examples] = re.findall(
        r"```promql\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL
    )
    found += [("docs/operations.md", line) for line in examples.strip().splitlines()]
    return [(place, expression.replace("$__rate_interval", "30s")) for place, expression in found]


def metrics_in(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    bare = re.sub(r'"[^"]*"', '""', re.sub(r"\{[^}]*\}", "", expression))
    return set(
        re.findall(
            r"\b(?:xtts|tts|process|kubelet|kube|node|up|probe|certmanager|container_cpu|container_memory)"
            r"(?:[_:][a-zA-Z0-9_:]+)?\b",
            bare,
        )
    )


async def test_every_query_is_parsed_and_every_metric_in_it_is_really_exported_and_the_documents_have_answers(
    watched: Watched,
) -> None:
    names = await watched.names()
    # A rate over hours is not recorded within seconds.
    recorded = set(re.findall(r"record: (\S+)", (_RULES / "recording.yml").read_text()))
    recorded |= OF_OTHERS
    asked = expressions()
    assert len(asked) > 60
    for place, expression in asked:
        await watched.ask(expression)
        assert metrics_in(expression), expression
        assert metrics_in(expression) <= names | recorded, (place, metrics_in(expression) - names)
    for query in (
        "histogram_quantile(0.95, sum by (le, language) (rate(xtts_synthesis_duration_seconds_bucket[5m])))",
        'sum(rate(xtts_synthesis_requests_total{status="error"}[5m])) '
        '/ sum(rate(xtts_synthesis_requests_total{status!="cancelled"}[5m]))',
        'sum(rate(xtts_synthesis_requests_total{status="cancelled"}[5m]))',
        "max(xtts_model_loaded)",
        'sum(up{job="worker"})',
        'tts_queue_depth{stream="TTS_DEAD"} > 0',
    ):
        values = [float(str(one["value"][1])) for one in await watched.ask(query)]  # type: ignore[index]
        assert values, query
        assert all(value > 0 for value in values), (query, values)


async def test_the_logs_answer_what_an_operator_asks_and_hold_no_text(watched: Watched) -> None:
    lines = watched.logs()
    raw = [json.dumps(line) for line in lines]
    for words in ("Model loaded successfully", "Synthesizing text", "ERROR", "status_code=502"):
        assert any(words in line for line in raw), words
    assert {line["event"] for line in lines if line["level"] == "error"} == {"engine_crashed"}
    assert all(line["severity"] == str(line["level"]).upper() for line in lines)
    assert {line["status_code"] for line in lines if line["event"] == "request_failed"} == {
        502,
        422,
    }
    one = next(line["request"] for line in lines if line["event"] == "Synthesizing text")
    assert {line["service"] for line in lines if line.get("request") == one} >= {
        "http_edge",
        "splitter",
        "synth_worker",
    }
    for words in (*TEXT.split(". "), "harmless"):
        assert not any(words in line for line in raw), "a text is in the log"


def test_each_logql_example_of_the_documents_names_a_container_that_there_is() -> None:
    compose = (DEPLOY / "compose" / "compose.yml").read_text()
    [examples] = re.findall(
        r"```logql\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL
    )
    assert 'replacement  = "xtts-logs"' in (DEPLOY / "alloy" / "config.alloy").read_text()
    for line in examples.strip().splitlines():
        if line.startswith('{job="xtts-logs"}'):
            continue
        [container] = re.findall(r'container=~?"([^"]+)"', line)
        assert container == ".+" or f"\n  {container}:" in compose, line

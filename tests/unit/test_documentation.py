"""The operations page is complete: every metric, every setting, every log event."""

import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.http_edge.metrics import Metrics as EdgeMetrics
from services.http_edge.settings import Settings as EdgeSettings
from services.splitter.metrics import Metrics as SplitterMetrics
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.metrics import Metrics as WorkerMetrics
from services.synth_worker.settings import Settings as WorkerSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
REGISTRIES = [EdgeMetrics().registry, SplitterMetrics().registry, WorkerMetrics().registry]


@pytest.mark.parametrize("registry", REGISTRIES, ids=["edge", "splitter", "worker"])
def test_every_metric_is_on_the_page(registry: CollectorRegistry) -> None:
    names = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in registry.collect()
        if metric.name.startswith(("tts_", "xtts_"))
    }
    assert {name for name in names if not re.search(rf"`{name}[`{{]", PAGE)} == set()


@pytest.mark.parametrize("settings", [EdgeSettings, SplitterSettings, WorkerSettings])
def test_every_setting_is_on_the_page(settings: type[msgspec.Struct]) -> None:
    names = {field.name.upper() for field in msgspec.structs.fields(settings)}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_every_log_event_is_on_the_page() -> None:
    sources = [path.read_text() for path in (ROOT / "services").rglob("*.py")]
    events = {event for text in sources for event in re.findall(r'log\.\w+\(\s*"([^"]+)"', text)}
    assert len(events) > 15
    assert {event for event in events if f"`{event}`" not in PAGE} == set()

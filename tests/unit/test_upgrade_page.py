"""The page about upgrades agrees with the changelog, the task file and the Helm chart."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services import __version__

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "upgrade.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
ORDER = ("workers", "splitters", "edges")


def test_the_page_has_the_order() -> None:
    assert re.search(r"\*Workers\*, then \*splitters\*, then \*edges\*", PAGE)


def test_every_order_in_the_changelog_is_that_of_the_page() -> None:
    text = re.sub(r"\s+", " ", CHANGELOG)
    sentences = re.findall(r"Update (\w+)(?: first)?,? (?:before|then) (\w+)", text)
    assert len(sentences) > 3
    for first, second in sentences:
        assert ORDER.index(first) < ORDER.index(second), (first, second)


def test_every_task_on_the_page_exists() -> None:
    tasks = yaml.safe_load((ROOT / "Taskfile.yml").read_text("utf-8"))["tasks"]
    named = set(re.findall(r"\./task ([a-z:]+)", PAGE))
    assert {"nats:establish", "nats:save", "nats:keys", "dead:list"} <= named <= tasks.keys()


def test_the_services_of_compose_exist() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yml").read_text("utf-8"))
    named = re.findall(r"up --detach --no-deps (\S+)", PAGE)
    assert len(named) == 2
    assert set(named) <= compose["services"].keys()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"--set ([\w.]+)=", PAGE))))
def test_every_value_of_the_chart_exists(path: str) -> None:
    value: Any = yaml.safe_load(
        (ROOT / "deploy" / "helm" / "voice-cloning" / "values.yaml").read_text("utf-8")
    )
    for name in path.split("."):
        assert name in value
        value = value[name]


def test_the_chart_has_the_version_of_the_service() -> None:
    chart = yaml.safe_load(
        (ROOT / "deploy" / "helm" / "voice-cloning" / "Chart.yaml").read_text("utf-8")
    )
    assert chart["version"] == chart["appVersion"] == __version__


def test_every_stream_that_is_named_exists() -> None:
    wire = (ROOT / "docs" / "wire.md").read_text("utf-8")
    named = set(re.findall(r"`((?:TTS|KV_TTS|OBJ_TTS)_[A-Z_]+)`", PAGE))
    assert named
    assert all(f"`{name}`" in wire for name in named)

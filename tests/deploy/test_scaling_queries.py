"""The queries that KEDA sends to Prometheus, evaluated by promtool over invented hours."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import rendered
from tests.deploy.test_monitoring import told, tool

Series = dict[str, str]  # name with labels -> values, one a minute

NAMESPACE = 'namespace="voice-cloning"'
DUE = f"tts_due_audio_seconds{{{NAMESPACE}}}"
QUEUED = f"tts_queued_audio_seconds{{{NAMESPACE}}}"
JOBS = f'tts_queue_depth{{{NAMESPACE},stream="TTS_JOBS"}}'
AGE = f'tts_queue_age_seconds{{{NAMESPACE},stream="TTS_JOBS"}}'


def refused(code: str, pod: str) -> str:
    """Return the name of a pod's counter of failures."""
    return f'tts_failures_total{{{NAMESPACE},code="{code}",pod="{pod}"}}'


def spoken(pod: str) -> str:
    """Return the name of a pod's counter of successful requests."""
    return f'tts_speech_requests_total{{{NAMESPACE},outcome="success",pod="{pod}"}}'


def trigger(overlay: str, name: str) -> dict[str, str]:
    """Return the query and the threshold of a Prometheus trigger."""
    [scaled] = rendered(overlay).of("ScaledObject")
    [found] = [each["metadata"] for each in scaled["spec"]["triggers"] if each["name"] == name]
    return dict(found)


async def evaluate(folder: Path, query: str, series: Series, expected: dict[str, float]) -> None:
    """Fail unless the query has these values at these times."""
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": time, "exp_samples": [{"labels": "{}", "value": value}]}
            for time, value in expected.items()
        ],
    }
    file = folder / "case.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [case]})
    )
    await told(tool("promtool"), "test", "rules", str(file))


async def test_a_refusal_starts_the_first_worker_and_a_rollout_does_not_hide_it(
    tmp_path: Path,
) -> None:
    query = trigger("gpu", "refused")["query"]
    series = {
        # refused once a minute from the fifth minute; replaced at the eighth by an edge that is refused nothing yet
        refused("engine_unavailable", "old"): "0+0x4 1 2 3 stale",
        refused("engine_unavailable", "new"): "_x7 0+0x40",
    }
    expected = {"4m": 0.0, "6m": 1.0, "9m": 1.0, "15m": 1.0, "19m": 1.0, "40m": 0.0}
    await evaluate(tmp_path, query, series, expected)


async def test_no_worker_is_started_while_nothing_is_refused_or_no_edge_answers(
    tmp_path: Path,
) -> None:
    query = trigger("gpu", "refused")["query"]
    quiet = {refused("engine_unavailable", "edge"): "0+0x60"}
    await evaluate(tmp_path, query, quiet, {"30m": 0.0})
    await evaluate(tmp_path, query, {"up": "1+0x60"}, {"30m": 0.0})


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
async def test_refused_demand_raises_the_backlog_up_to_four_times(
    tmp_path: Path, overlay: str
) -> None:
    query = trigger(overlay, "due")["query"].replace("[1m]", "[2m]")  # a sample a minute here
    admitted = {DUE: "20+0x60", spoken("edge"): "0+60x60"}
    for refusals, expected in (("0+0x60", 20.0), ("0+60x60", 40.0), ("0+6000x60", 80.0)):
        series = admitted | {refused("queue_full", "edge"): refusals}
        await evaluate(tmp_path, query, series, {"30m": expected})
    # a tenant over its share is refused by intent
    series = admitted | {refused("tenant_queue_full", "edge"): "0+60x60"}
    await evaluate(tmp_path, query, series, {"30m": 20.0})
    # nothing is admitted, nothing was ever refused, no edge answers
    only_refused = {
        DUE: "20+0x60",
        spoken("edge"): "0+0x60",
        refused("queue_full", "edge"): "0+60x60",
    }
    await evaluate(tmp_path, query, only_refused, {"30m": 80.0})
    await evaluate(tmp_path, query, {DUE: "20+0x60"}, {"30m": 20.0})
    await evaluate(tmp_path, query, {"up": "1+0x60"}, {"30m": 0.0})


@pytest.mark.parametrize(("overlay", "engine"), [("cpu", "embedded"), ("gpu", "xtts")])
@pytest.mark.parametrize(("name", "total"), [("due", DUE), ("queued", QUEUED)])
async def test_workers_follow_the_backlog_of_their_engine_alone(
    tmp_path: Path, overlay: str, engine: str, name: str, total: str
) -> None:
    query = trigger(overlay, name)["query"]

    def of(engine: str) -> str:
        return f'tts_engine_{name}_audio_seconds{{{NAMESPACE},engine="{engine}"}}'

    both = {of(engine): "7+0x60", of("another"): "50+0x60", total: "57+0x60"}
    await evaluate(tmp_path, query, both, {"30m": 7.0})
    # an engine at zero workers is not reported while it has no backlog; earlier releases report all together
    await evaluate(tmp_path, query, {of("another"): "50+0x60", total: "50+0x60"}, {"30m": 0.0})
    await evaluate(tmp_path, query, {total: "57+0x60"}, {"30m": 57.0})
    await evaluate(tmp_path, query, {"up": "1+0x60"}, {"30m": 0.0})


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
async def test_jobs_start_a_worker_and_more_as_they_grow_old(tmp_path: Path, overlay: str) -> None:
    found = trigger(overlay, "jobs")
    assert found["threshold"] == "1"
    idle = {JOBS: "0+0x300", AGE: "0+0x300"}
    await evaluate(tmp_path, found["query"], idle, {"60m": 0.0})
    # one job of four hours keeps one worker; its sentences count in the other queries
    long = {JOBS: "1+0x300", AGE: "0+60x300"}
    await evaluate(tmp_path, found["query"], long, {"1m": 1.0, "240m": 1.0})
    many = {JOBS: "40+0x300", AGE: "0+60x300"}
    await evaluate(tmp_path, found["query"], many, {"0m": 1.0, "30m": 2.0, "240m": 9.0})
    await evaluate(tmp_path, found["query"], {"up": "1+0x60"}, {"30m": 0.0})

"""An existing stream keeps its limits, and a log lists those that differ from the settings."""

from pathlib import Path

import aiohttp
import pytest
import structlog
from nats.js import api

from services.admin.streams import establish
from services.common.bus import topology
from services.common.bus.config_drift import Difference, differences, stream_limits
from services.common.bus.nats.connection import NatsBus
from services.common.bus.topology import stream_names
from services.common.runtime.local_nats import local_nats
from services.common.runtime.service_process import ProcessSettings
from services.common.wire import subjects
from services.common.wire.failures import BusUnavailable
from tests.chaos.cluster import nats_cluster


def test_every_stream_has_limits() -> None:
    wanted = topology.topology(audio_max_bytes=5_000_000, audio_kept_s=60)
    limits = stream_limits(wanted)
    assert sorted(limits) == sorted(stream_names(wanted))
    assert limits[topology.AUDIO] == {
        "max_age": 60,
        "max_bytes": 5_000_000,
        "max_msgs": -1,
        "max_msgs_per_subject": 1,
        "retention": "limits",
        "discard": "old",
        "subjects": "tts.v1.audio.>",
        "num_replicas": 1,
    }


def test_only_differences_are_reported() -> None:
    found = api.StreamConfig(name="A", max_age=600.0, max_bytes=7, num_replicas=1)
    assert differences({"max_age": 600, "max_bytes": 5, "num_replicas": 1}, found) == {
        "max_bytes": (7, 5)
    }


async def test_an_existing_stream_keeps_its_limits_with_a_warning(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        with structlog.testing.capture_logs() as logs:
            await bus.establish(topology.topology())
        assert not [entry for entry in logs if entry["event"] == "stream_differs"]
        wanted = topology.topology(audio_max_bytes=5_000_000, audio_kept_s=60)
        for tell in (bus.establish, bus.require):
            with structlog.testing.capture_logs() as logs:
                await tell(wanted)
            told = {
                entry["limit"]: entry["found"]
                for entry in logs
                if entry["event"] == "stream_differs"
            }
            assert told == {"max_age": 600.0, "max_bytes": 1024 * topology.MEBIBYTE}
        await bus.close()


@pytest.mark.parametrize(
    ("found", "wanted", "shrinks"),
    [
        (600, 60, True),
        (60, 600, False),
        (0, 60, True),
        (60, 0, False),
        (-1, 5, True),
        (1, 3, False),
    ],
)
def test_a_lower_limit_shrinks_a_stream(found: float, wanted: float, shrinks: bool) -> None:
    assert Difference("A", "max_age", found, wanted).shrinks is shrinks


def settings(url: str, **changes: float) -> ProcessSettings:
    return ProcessSettings(nats_url=url, **changes)  # type: ignore[arg-type]


async def test_differences_are_listed_and_only_raised_on_request(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:
        assert await establish(settings(server.url)) == []
        changed = settings(server.url, audio_kept_s=1200, job_results_kept_s=3600)
        results = {"KV_TTS_PROGRESS", "OBJ_TTS_RESULTS"}

        lines = await establish(changed)
        assert "TTS_AUDIO: max_age is 600, and the settings say 1200; --apply changes it" in lines
        refused = [line for line in lines if "not changed" in line]
        assert {line.partition(":")[0] for line in refused} == results
        assert sorted(await establish(changed)) == sorted(lines), "nothing was changed"

        applied = await establish(changed, apply=True)
        assert [line for line in applied if line.endswith("; changed")] == [
            "TTS_AUDIO: max_age is 600, and the settings say 1200; changed"
        ]
        assert sorted(await establish(changed)) == sorted(refused)


async def test_other_subjects_and_rules_of_a_stream_are_listed_and_left_alone(
    tmp_path: Path,
) -> None:
    async with local_nats(tmp_path) as server:
        await establish(settings(server.url))
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        config = (await bus._jetstream.stream_info(topology.DEAD)).config
        expected = " ".join(sorted(config.subjects or ()))
        config.subjects = ["tts.v1.dead.public.>"]
        config.discard = api.DiscardPolicy.NEW
        config.max_msgs = 5
        await bus._jetstream.update_stream(config)

        for apply in (False, True):
            lines = await establish(settings(server.url), apply=apply)
            assert [line for line in lines if line.startswith("TTS_DEAD: subjects is")] == [
                f"TTS_DEAD: subjects is tts.v1.dead.public.>, and the settings say {expected}; "
                "not changed: use `nats stream edit`, or delete the stream when it is empty"
            ]
            assert any(
                "TTS_DEAD: discard is new, and the settings say old" in line for line in lines
            )
            assert any("TTS_DEAD: max_msgs is 5" in line for line in lines)
        lines = await establish(settings(server.url))
        assert not any("max_msgs" in line for line in lines), "a raised limit was applied"
        await bus.close()


async def test_replicas_cannot_be_raised_on_a_single_server(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:
        await establish(settings(server.url))
        with pytest.raises(BusUnavailable, match="replicas"):
            await establish(settings(server.url, nats_replicas=3), apply=True)


async def test_replicas_are_raised_in_a_cluster_and_messages_stay(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session, nats_cluster(tmp_path) as cluster:
        await cluster.until_ready(session)
        await establish(settings(cluster.url))
        bus = await NatsBus.connect(cluster.url, name="test", patience_s=20)
        await bus.publish(subjects.request("public"), b"kept", message_id="kept")

        wanted = settings(cluster.url, nats_replicas=3)
        lines = await establish(wanted, apply=True)
        assert {line.partition(":")[0] for line in lines} == set(stream_names(topology.topology()))
        assert all(
            line.endswith("num_replicas is 1, and the settings say 3; changed") for line in lines
        )
        assert await establish(wanted) == []
        assert await bus.message_count(topology.REQUESTS) == 1
        [line, *_] = await establish(settings(cluster.url), apply=True)
        assert "not changed" in line, "fewer replicas are not applied"
        await bus.close()

"""An existing stream keeps its limits, and a log lists those that differ from the settings."""

from pathlib import Path

import structlog
from nats.js import api

from services.common.bus import topology
from services.common.bus.config_drift import differences, stream_limits
from services.common.bus.nats.connection import NatsBus
from services.common.bus.topology import stream_names
from services.common.runtime.local_nats import local_nats


def test_every_stream_has_limits() -> None:
    wanted = topology.topology(audio_max_bytes=5_000_000, audio_kept_s=60)
    limits = stream_limits(wanted)
    assert sorted(limits) == sorted(stream_names(wanted))
    assert limits[topology.AUDIO] == {"max_age": 60, "max_bytes": 5_000_000, "num_replicas": 1}


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

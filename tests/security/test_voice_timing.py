"""Another tenant's earlier upload of a recording must not show, by the duration of a request or otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.admin import keys as api_keys
from services.common.audio.clip import Clip
from services.common.bus import topology
from services.common.wire.options import AS_USUAL, Parameters
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.synth_worker.engines.tone import ToneEngine
from tests.support.front import SETTINGS, Front, front


def keys_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Make a file of keys, and return what two tenants send."""
    made = {}
    for tenant in ("acme", "globex"):
        api_keys.main([str(folder / "keys.toml"), "--name", tenant, "--tenant", tenant])
        made[tenant] = capsys.readouterr().out.strip()
    return made


async def uploads(service: Front) -> dict[str, float]:
    """Return how many uploads were decoded, and how many were known, as the edge counts them."""
    async with await service.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    prefix = 'tts_reference_uploads_total{outcome="'
    counted = [line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix)]
    return {outcome: float(count) for outcome, count in counted}


async def test_a_file_that_another_tenant_sent_is_decoded_and_conditioned_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    conditioned: list[int] = []
    prepare, condition = ReferenceDecoder.prepare, ToneEngine.condition

    async def prepare_noted(decoder: ReferenceDecoder, path: Path, *rest: Any, **named: Any) -> Any:
        decoded.append(path)
        return await prepare(decoder, path, *rest, **named)

    def condition_noted(
        engine: ToneEngine, clips: Sequence[Clip], parameters: Parameters = AS_USUAL
    ) -> bytes:
        conditioned.append(len(clips))
        return condition(engine, clips, parameters)

    monkeypatch.setattr(ReferenceDecoder, "prepare", prepare_noted)
    monkeypatch.setattr(ToneEngine, "condition", condition_noted)
    keys = keys_of(tmp_path, capsys)
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(tmp_path / "keys.toml"))
    (tmp_path / "nats").mkdir()
    decoder = ReferenceDecoder(1)  # the usual one of tests decodes a file once
    async with front(tmp_path / "nats", settings=settings, decoder=decoder) as service:
        work = []
        for tenant in ("acme", "acme", "globex", "globex", "acme"):
            headers = {"Authorization": f"Bearer {keys[tenant]}"}
            async with await service.post("/synthesize", headers=headers) as response:
                assert response.status == 200
                assert "voice;dur=" in response.headers["Server-Timing"]
                await response.read()
            work.append((len(decoded), len(conditioned)))
        decodings, conditionings = zip(*work, strict=True)
        assert decodings == (1, 1, 2, 2, 2)  # the first of each tenant's, and no other
        assert conditionings[0] >= 1
        assert conditionings[2] > conditionings[1]
        assert conditionings[4] - conditionings[2] <= conditionings[1]
        assert await uploads(service) == {"decoded": 2, "known": 3}

        subjects = await service.bus._jetstream.stream_info(
            f"KV_{topology.VOICES}", subjects_filter=">"
        )
        tenants = {subject.split(".")[-2] for subject in subjects.state.subjects or {}}
        assert tenants == {"acme", "globex"}

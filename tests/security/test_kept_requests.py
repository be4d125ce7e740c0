"""A tenant that sends many requests does not fill the store of all tenants' requests."""

from pathlib import Path

import msgspec

from services.common.bus import topology
from services.common.wire import codec, subjects
from services.common.wire.identity import Identity
from services.common.wire.messages import JobProgress
from tests.support.front import SETTINGS, front
from tests.support.service import TEXT, digest, expected_pcm, speech_request, stored_clip
from tests.support.wav import pcm_of


async def test_over_its_share_a_named_request_is_refused_and_another_is_spoken_but_not_stored(
    tmp_path: Path,
) -> None:
    settings = msgspec.structs.replace(SETTINGS, tenant_requests_bytes=750)
    async with front(tmp_path, settings=settings) as service:
        async with await service.post(
            "/synthesize", headers={"Request-Name": "the-first-one"}
        ) as response:
            assert response.status == 200, await response.text()
        async with await service.post(
            "/synthesize", headers={"Request-Name": "the-second-one"}
        ) as response:
            assert response.status == 429
            content = await response.json(content_type=None)
        assert content["code"] == "tenant_requests_full"
        assert "without Request-Name" in content["detail"]
        async with await service.post("/synthesize") as response:
            assert response.status == 200, await response.text()
            assert digest([pcm_of(await response.read())]) == digest([expected_pcm(TEXT)])
            name = response.headers["Request-Name"]
        async with await service.get(f"/requests/{name}/audio") as response:
            assert response.status == 404


async def test_a_job_on_the_bus_with_the_id_of_a_request_fails_with_a_message(
    tmp_path: Path,
) -> None:
    async with front(tmp_path) as service:
        async with await service.post(
            "/synthesize", headers={"Request-Name": "the-only-one"}
        ) as response:
            assert response.status == 200, await response.text()
        job = msgspec.structs.replace(
            speech_request(await stored_clip(service.bus)), request="the-only-one"
        )
        await service.bus.publish(
            subjects.job("public"), codec.encode(job), message_id="job.public.the-only-one"
        )
        await service.until_idle()
        kept = await service.bus.get_value(
            topology.PROGRESS, Identity("public", "job", "the-only-one").key("job")
        )
    assert kept is not None
    progress = codec.decode(kept, JobProgress)
    assert (progress.state, progress.code) == ("failed", "request_id_taken")

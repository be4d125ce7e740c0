"""A recording is looked up: its watermark, and the sentences in the log of the caller's tenant."""

import io
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from services.common.audio.clip import Clip
from services.common.audio.watermark.marking import mark
from services.common.audio.wav import read_wav, write_wav
from services.common.bus.provenance.reading import verify_chain
from tests.support.front import Front, front
from tests.support.recordings import speech_of
from tests.support.service import TEXT, sentence_count

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats")) as made:
        yield made


async def asked(
    service: Front, recording: bytes, *, status: int = 200, **fields: str
) -> dict[str, Any]:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("file", io.BytesIO(recording), filename="recording")
    for name, value in fields.items():
        form.add_field(name, value)
    url = f"{service.addresses[0]}/provenance"
    async with service.session.post(url, data=form) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


async def spoken(service: Front, name: str, **fields: str | bytes | None) -> bytes:
    async with await service.post(
        "/synthesize", headers={"Request-Name": name}, **fields
    ) as response:
        assert response.status == 200
        return await response.read()


def places(answer: dict[str, Any]) -> list[tuple[str, int, bool]]:
    return [(one["request"], one["sentence"], one["exact"]) for one in answer["sentences"]]


async def test_every_sentence_of_an_answer_is_found_and_exact(service: Front) -> None:
    name = secrets.token_hex(16)
    wav = await spoken(service, name, seed="7")
    answer = await asked(service, wav)
    assert places(answer) == [(name, index, True) for index in range(sentence_count(TEXT))]
    assert answer["complete"]
    assert answer["seconds"] == pytest.approx(read_wav(wav).seconds, abs=0.001)
    report = await verify_chain(service.bus, "public")
    assert report.faults == ()


async def test_a_part_of_a_quieter_copy_is_found(service: Front) -> None:
    name = secrets.token_hex(16)
    clip = read_wav(await spoken(service, name, seed="8"))
    part = clip.samples[len(clip.samples) // 3 :] * np.float32(0.5)
    answer = await asked(service, write_wav(Clip(part, clip.sample_rate_hz)))
    assert {one["request"] for one in answer["sentences"]} == {name}
    assert not any(one["exact"] for one in answer["sentences"])


async def test_a_recording_of_a_person_is_neither_marked_nor_found(service: Front) -> None:
    answer = await asked(service, write_wav(speech_of(3)))
    assert answer["sentences"] == []
    assert not answer["watermark"]["marked"]


async def test_the_watermark_is_found(service: Front) -> None:
    clip = speech_of(5)
    marked = Clip(mark(clip.samples, clip.sample_rate_hz), clip.sample_rate_hz)
    answer = await asked(service, write_wav(marked))
    assert answer["watermark"]["marked"], answer
    assert answer["watermark"]["log10_false_alarm"] < -6


async def test_a_search_before_the_request_does_not_find_it(service: Front) -> None:
    wav = await spoken(service, secrets.token_hex(16), seed="9")
    answer = await asked(service, wav, until="2020-01-01T00:00:00Z")
    assert answer["sentences"] == []


@pytest.mark.parametrize(
    ("content", "code", "status"),
    [(b"", "bad_request", 400), (b"no audio", "unusable_reference", 422)],
)
async def test_what_is_not_audio_is_refused(
    service: Front, content: bytes, code: str, status: int
) -> None:
    answer = await asked(service, content, status=status)
    assert answer["code"] == code


async def test_a_time_that_is_none_is_refused(service: Front) -> None:
    answer = await asked(service, b"RIFF", status=400, until="yesterday")
    assert answer["errors"][0]["field"] == "until" if "errors" in answer else "until" in str(answer)

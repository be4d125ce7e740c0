"""A recording is looked up: its watermark, and the sentences in the log of the caller's tenant."""

import io
import json
import secrets
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from services.admin.provenance import found, verified
from services.common.audio.clip import Clip
from services.common.audio.fingerprint.words import SentenceFingerprint
from services.common.audio.pcm import to_pcm16
from services.common.audio.watermark.marking import mark
from services.common.audio.wav import read_wav, write_wav
from services.common.bus.provenance.reading import verify_chain
from services.common.bus.provenance.writing import ProvenanceWriter
from services.common.wire.provenance import LoggedSentence
from tests.support.front import VOICE, Front, front
from tests.support.recordings import speech_of
from tests.support.service import TEXT, sentence_count
from voice_cloning_client import AsyncClient

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
    assert (answer["code"], answer["field"]) == ("bad_request", "until")


async def test_a_voice_of_the_library_is_named_with_its_consent_until_it_is_deleted(
    service: Front,
) -> None:
    consent = {
        "speaker": "Anna Weber",
        "statement": "I agree that my voice is cloned.",
        "date": "2026-01-31",
        "method": "written",
    }
    fields = {"name": "Anna", "consent": json.dumps(consent), "reference_audio": VOICE}
    none = dict.fromkeys(("text", "language", "seed"))
    async with await service.post("/voices", **fields, **none) as response:
        assert response.status == 201
        voice = (await response.json())["id"]
    wav = await spoken(service, secrets.token_hex(16), voice="Anna", reference_audio=None)

    answer = await asked(service, wav)
    assert {one["voice"] for one in answer["sentences"]} == {f"{voice}@1"}
    assert answer["voices"] == [{"id": voice, "name": "Anna", "consent": consent}]
    await service.delete(f"/voices/{voice}")
    answer = await asked(service, wav)
    assert {one["voice"] for one in answer["sentences"]} == {f"{voice}@1"}
    assert answer["voices"] == [{"id": voice}]


async def test_the_sentences_of_another_tenant_are_not_found_and_the_operator_finds_them(
    service: Front, tmp_path: Path
) -> None:
    samples = speech_of(11)
    name = secrets.token_hex(16)
    await log_sentence(service, "globex", name, samples)
    assert (await asked(service, write_wav(samples)))["sentences"] == []

    recording = tmp_path / "recording.wav"
    recording.write_bytes(write_wav(samples))
    lines = await found(service.bus, recording, 60)
    assert any(line.startswith(f"globex  {name}  sentence 0") for line in lines)


async def log_sentence(service: Front, tenant: str, request: str, clip: Clip) -> None:
    pcm = to_pcm16(clip.samples)
    stream = SentenceFingerprint(clip.sample_rate_hz)
    stream.push(clip.samples)
    await ProvenanceWriter(service.bus, "worker-1").add(
        tenant,
        LoggedSentence(
            request=request,
            sentence=0,
            spoken_unix_ms=round(time.time() * 1000),
            samples=len(clip.samples),
            sample_rate_hz=clip.sample_rate_hz,
            digest=sha256(pcm).hexdigest(),
            fingerprint=stream.finish(),
        ),
    )


async def test_the_operator_verifies_all_chains_and_a_noted_head(service: Front) -> None:
    await log_sentence(service, "initech", secrets.token_hex(16), speech_of(12))
    lines, intact = await verified(service.bus)
    assert intact
    (head,) = (line.partition("  ")[0] for line in lines if line.startswith("initech:"))
    assert (await verified(service.bus, [head]))[1]
    tenant, number, digest = head.split(":")
    lines, intact = await verified(service.bus, [f"{tenant}:{int(number) + 1}:{digest}"])
    assert not intact
    assert any("FAULT" in line for line in lines)


async def test_the_client_looks_a_recording_up(service: Front) -> None:
    name = secrets.token_hex(16)
    wav = await spoken(service, name, seed="10")
    async with AsyncClient(service.addresses[0]) as client:
        answer = await client.provenance(wav)
    assert {one["request"] for one in answer["sentences"]} == {name}


async def test_a_sentence_that_is_spoken_again_is_reported_once(service: Front) -> None:
    backwards = speech_of(5).samples[::-1].copy()
    clip = Clip(backwards, 24_000)
    name = secrets.token_hex(16)
    for _ in range(2):
        await log_sentence(service, "public", name, clip)
    answer = await asked(service, write_wav(clip))
    assert places(answer) == [(name, 0, True)]

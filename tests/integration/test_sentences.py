"""A client learns where each sentence is, in the text and in the audio."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.front import Front, front
from tests.support.service import TEXT, sentence_count
from tests.support.wav import pcm_of

ID = "a-request-of-mine"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    async with front(tmp_path, edges=2) as made:
        yield made


async def test_the_sentences_of_a_request_fill_its_text_and_its_audio(service: Front) -> None:
    async with await service.post("/synthesize", headers={"Request-Name": ID}) as response:
        wav = await response.read()
    async with await service.get(f"/requests/{ID}/sentences", edge=1) as response:
        answer = await response.json()
    sentences = answer["sentences"]
    assert answer["count"] == len(sentences) == sentence_count(TEXT)
    assert all(one["end"] <= other["start"] for one, other in pairwise(sentences))
    assert TEXT[sentences[0]["start"] : sentences[0]["end"]] == "It was a bright cold day in April."
    assert sum(sentence["seconds"] for sentence in sentences) == pytest.approx(
        len(pcm_of(wav)) / 48_000, abs=0.001
    )

    async with await service.get(f"/requests/{ID}/sentences?from=2") as response:
        assert await response.json() == {
            "count": len(sentences),
            "from": 2,
            "sentences": sentences[2:],
        }


async def test_the_sentences_of_a_job_are_known_as_well(service: Front) -> None:
    async with await service.post("/jobs") as response:
        job = (await response.json())["id"]
    async with await service.get(f"/jobs/{job}/audio") as response:
        wav = await response.read()
    async with await service.get(f"/requests/{job}/sentences") as response:
        sentences = (await response.json())["sentences"]
    assert sum(sentence["seconds"] for sentence in sentences) == pytest.approx(
        len(pcm_of(wav)) / 48_000, abs=0.001
    )


@pytest.mark.parametrize(
    ("path", "status"), [("never-was-any/sentences", 404), (f"{ID}/sentences?from=one", 400)]
)
async def test_what_is_not_known_is_refused(service: Front, path: str, status: int) -> None:
    async with await service.get(f"/requests/{path}") as response:
        assert response.status == status

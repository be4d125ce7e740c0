"""Sentences whose audio is faulty after every attempt: delivered, and reported to the client."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.wire.seeds import sentence_seed
from services.synth_worker.engines.protocol import Step
from services.synth_worker.engines.tone import ToneEngine, ToneSequence
from tests.integration.test_jobs import ended, posted
from tests.support.front import Front, front
from tests.support.service import TEXT

FAULTY = 1  # the index of the sentence


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    advance = ToneEngine._advance

    def advance_with_fault(engine: ToneEngine, sequence: ToneSequence) -> Step:
        step = advance(engine, sequence)
        faulty = step.done and sequence.seed == sentence_seed(42, FAULTY)
        return replace(step, fault="loop") if faulty else step

    monkeypatch.setattr(ToneEngine, "_advance", advance_with_fault)
    async with front(tmp_path) as running:
        yield running


async def test_a_faulty_sentence_is_named_in_the_header_of_the_audio(service: Front) -> None:
    async with await service.post("/synthesize", text=TEXT) as response:
        assert response.status == 200, await response.text()
        assert response.headers["X-Speech-Fault"] == f'{FAULTY};fault="loop"'
        request = response.headers["Request-Name"]

    async with await service.get(f"/requests/{request}/sentences") as response:
        shown = await response.json()
    assert [sentence.get("fault") for sentence in shown["sentences"]][:3] == [None, "loop", None]


async def test_a_faulty_sentence_of_a_job_is_named_in_the_list_of_its_sentences(
    service: Front,
) -> None:
    job = await posted(service, text=TEXT)
    assert (await ended(service, job))["state"] == "done"

    async with await service.get(f"/jobs/{job}/sentences") as response:
        shown = await response.json()
    assert [sentence.get("fault") for sentence in shown["sentences"]][:3] == [None, "loop", None]


async def test_audio_without_a_fault_has_no_such_header(service: Front) -> None:
    async with await service.post("/synthesize", text=TEXT, seed="43") as response:
        assert response.status == 200, await response.text()
        assert "X-Speech-Fault" not in response.headers

"""Jobs and voices through the client library, directly and through a proxy that cuts bodies."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.front import VOICE, Front, front
from tests.support.gateway import Gateway, gateway
from tests.support.service import TEXT, expected_pcm, sentence_count
from tests.support.wav import pcm_of
from voice_cloning_client import (
    AsyncClient,
    Consent,
    IncompleteAudio,
    InvalidInput,
    JobFailed,
    NotFound,
    Retry,
    ServiceError,
    Unavailable,
)

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(3))
SWIFT = Retry(first_s=0.01, longest_s=0.05)
CONSENT = Consent("Anna Weber", "I agree that my voice is cloned.", "2026-01-31", "written")


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with front(tmp_path, real_time_factor=getattr(request, "param", 0.0)) as made:
        yield made


@pytest.fixture
async def proxy(service: Front) -> AsyncIterator[Gateway]:
    async with gateway(service.addresses[0]) as made:
        yield made


@pytest.fixture
async def client(proxy: Gateway) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(proxy.address, retry=SWIFT) as made:
        yield made


async def test_a_job_is_submitted_followed_and_downloaded(
    client: AsyncClient, proxy: Gateway, tmp_path: Path
) -> None:
    states = []
    job = await client.jobs.submit(LONG, language="en", clips=VOICE, seed=42)
    with pytest.raises(InvalidInput):
        await client.jobs.download(job.id, tmp_path / "nowhere" / "book.wav")
    done = await client.jobs.wait(job.id, progress=states.append, timeout_s=60)
    assert (done.state, done.spoken) == ("done", sentence_count(LONG))
    assert states[-1] == done

    proxy.cut_after = 100_001
    path = await client.jobs.download(job.id, tmp_path / "book.wav")
    assert pcm_of(path.read_bytes()) == expected_pcm(LONG)
    proxy.cut_after = None

    await client.jobs.download(job.id, tmp_path / "book.mp3")
    proxy.cut_after = 2_000
    with pytest.raises(IncompleteAudio):
        await client.jobs.download(job.id, tmp_path / "cut.mp3")
    assert sorted(found.name for found in tmp_path.glob("*.mp3")) == ["book.mp3"]
    assert not list(tmp_path.glob(".voice-cloning*"))

    await client.jobs.delete(job.id)
    with pytest.raises(NotFound):
        await client.jobs.get(job.id)


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_cancelled_job_is_a_failed_one(client: AsyncClient, tmp_path: Path) -> None:
    job = await client.jobs.submit(LONG, language="en", clips=VOICE)
    with pytest.raises(InvalidInput, match="wait until it is done"):
        await client.jobs.download(job.id, tmp_path / "early.wav")
    with pytest.raises(Unavailable, match="it continues"):
        await client.jobs.wait(job.id, timeout_s=0.2)
    await client.jobs.cancel(job.id)
    with pytest.raises(JobFailed):
        await client.jobs.wait(job.id, timeout_s=30)


async def test_all_pages_of_jobs_are_listed_newest_first(client: AsyncClient) -> None:
    submitted = [
        await client.jobs.submit("Hello.", language="en", clips=VOICE, title=f"Number {number}")
        for number in range(3)
    ]
    for job in submitted:
        await client.jobs.wait(job.id)
    page = await client.jobs.page(limit=2)
    rest = await client.jobs.page(limit=2, after=page.next)
    assert [job.title for job in (*page.jobs, *rest.jobs)] == ["Number 2", "Number 1", "Number 0"]
    assert rest.next is None
    done = [job async for job in client.jobs.list(state="done")]
    assert [job.id for job in done] == [job.id for job in reversed(submitted)]
    assert all(job.finished and job.expires > job.created for job in done)
    request = await client.jobs.request(submitted[0].id)
    assert (request["text"], request["title"]) == ("Hello.", "Number 0")


async def test_a_sentence_is_redone_and_a_chapter_downloaded(
    client: AsyncClient, tmp_path: Path
) -> None:
    job = await client.jobs.submit(
        TEXT, language="en", clips=VOICE, chapters=[{"title": "One", "start": 0}], title="Cold"
    )
    await client.jobs.wait(job.id)
    before = await client.jobs.download(job.id, tmp_path / "before.wav")
    made = await client.jobs.redo(job.id, 0, seed=7, pronunciations={"April": "May"})
    assert (made["job"]["revision"], made["seed"]) == (1, 7)
    sentences = [sentence async for sentence in client.jobs.sentences(job.id)]
    assert [sentence.get("revision") for sentence in sentences][:2] == [1, None]
    after = await client.jobs.download(job.id, tmp_path / "after.wav")
    chapter = await client.jobs.download(job.id, tmp_path / "one.wav", chapter=0)
    assert before.read_bytes() != after.read_bytes() == chapter.read_bytes()
    with pytest.raises(InvalidInput, match=r"\.m4b"):
        await client.jobs.download_book(job.id, tmp_path / "book.ogg")


async def test_voices_are_stored_listed_changed_exported_and_erased(client: AsyncClient) -> None:
    anna = await client.voices.create("Anna", VOICE, consent=CONSENT, language="en")
    assert (anna.name, anna.kind, anna.clips, anna.consent) == ("Anna", "library", 1, CONSENT)

    with pytest.raises(ServiceError, match="voice_name_taken"):
        await client.voices.create("anna", VOICE, consent=CONSENT)
    with pytest.raises(ServiceError, match="consent_required"):
        await client.voices.create("Berta", VOICE)

    berta = await client.voices.rename("Anna", "Berta")
    assert (berta.id, berta.name) == (anna.id, "Berta")
    assert (await client.voices.replace_clips("Berta", VOICE, consent=CONSENT)).revision == 2
    assert (await client.voices.preview(anna.id, language="en"))[:4] == b"RIFF"
    audio = await client.speak("Hello.", voice="Berta", language="en")
    assert audio.info.voice == f"{anna.id}@2"

    exported = await client.voices.export("Berta")
    await client.voices.delete("Berta")
    with pytest.raises(NotFound):
        await client.voices.get("Berta")

    assert (await client.voices.import_(exported)).name == "Berta"
    names = [voice.name async for voice in client.voices.list(kind="library")]
    assert names == ["Berta"]
    first = await client.voices.page(limit=1)
    assert first.voices


async def test_storing_a_voice_is_repeated_only_if_it_had_no_effect(
    client: AsyncClient, proxy: Gateway
) -> None:
    proxy.refusals = [web.Response(status=502), web.Response(status=503)]
    with pytest.raises(ServiceError, match="http_502"):
        await client.voices.create("Anna", VOICE, consent=CONSENT)
    await client.voices.create("Anna", VOICE, consent=CONSENT)
    assert proxy.posts() == 3

    proxy.loses = 1
    with pytest.raises(Unavailable):
        await client.voices.create("Berta", VOICE, consent=CONSENT)
    assert proxy.posts() == 4


async def test_all_pages_of_voices_are_listed(client: AsyncClient) -> None:
    for number in range(3):
        await client.voices.create(f"Voice {number}", VOICE, consent=CONSENT)
    page = await client.voices.page(limit=2, kind="library")
    rest = await client.voices.page(limit=2, kind="library", after=page.next)
    names = [voice.name for voice in (*page.voices, *rest.voices)]
    assert names == ["Voice 0", "Voice 1", "Voice 2"]
    assert [voice.name async for voice in client.voices.list(query="voice")] == names


async def test_languages_and_normalized_text(client: AsyncClient) -> None:
    assert (await client.languages())["fr"] == "français"
    normalized = await client.normalize("Il a 17 ans.", language="fr")
    assert normalized["sentences"][0]["text"] == "Il a dix-sept ans."
    assert (await client.about())["engine"] == "tone"

"""Upload slots, and the temporary space of uploads."""

import asyncio

import pytest

from services.http_edge.errors import BadRequest, InsufficientStorage, TooManyUploads, UploadStalled
from services.http_edge.intake.forms import uploads as uploads_module
from services.http_edge.intake.forms.uploads import BodyUpload, TempSpace, Uploads
from services.http_edge.settings import Settings


def of(**settings: float) -> Uploads:
    return Uploads(
        Settings(
            **{"max_uploads": 3, "max_uploads_per_caller": 2, "upload_bytes_a_second": 0} | settings
        )
    )


def nothing() -> int:
    return 0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_module, "_WAIT_S", 0.3)
    monkeypatch.setattr(uploads_module, "_LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(uploads_module, "_GRACE_S", 0.0)


@pytest.mark.usefixtures("hasty")
async def test_each_caller_has_a_limited_number_of_slots() -> None:
    uploads = of()
    async with uploads.reading("acme", nothing), uploads.reading("acme", nothing):
        with pytest.raises(TooManyUploads) as refused:
            async with uploads.reading("acme", nothing):
                raise AssertionError
        assert refused.value.http_status == 429
        async with uploads.reading("globex", nothing):
            with pytest.raises(TooManyUploads) as refused:
                async with uploads.reading("initech", nothing):
                    raise AssertionError
            assert refused.value.http_status == 503
    async with uploads.reading("acme", nothing), uploads.reading("acme", nothing):
        pass
    assert uploads._callers == {}


@pytest.mark.usefixtures("hasty")
async def test_a_slow_upload_is_dropped_for_one_that_waits() -> None:
    uploads = of(max_uploads_per_caller=1, upload_bytes_a_second=1000)

    async def slow() -> None:
        async with uploads.reading("acme", nothing) as upload:
            while True:
                upload.received(1)
                await asyncio.sleep(0.02)

    trickling = asyncio.create_task(slow())
    await asyncio.sleep(0.1)
    async with uploads.reading("acme", nothing):
        with pytest.raises(UploadStalled, match="slowly"):
            await trickling


@pytest.mark.usefixtures("hasty")
async def test_a_fast_upload_is_not_dropped() -> None:
    uploads = of(max_uploads_per_caller=1, upload_bytes_a_second=1000)
    async with uploads.reading("acme", nothing) as upload:
        upload.received(10_000_000)
        with pytest.raises(TooManyUploads):
            async with uploads.reading("acme", nothing):
                raise AssertionError


async def test_an_upload_that_stays_slow_is_dropped_even_if_no_other_waits() -> None:
    uploads = of(upload_bytes_a_second=1000, upload_idle_timeout_s=0.1)
    async with uploads.reading("acme", nothing) as upload:
        upload.received(10)
        await asyncio.sleep(0.2)
        with pytest.raises(UploadStalled, match="1000 bytes per second"):
            upload.received(1)


async def test_a_body_of_chunk_headers_is_refused_and_an_ordinary_one_is_not() -> None:
    loop = asyncio.get_running_loop()
    for wire_bytes, refused in ((6_000_000, True), (1_500_000, False)):
        upload = BodyUpload(
            0, 1, lambda wire_bytes=wire_bytes: wire_bytes, asyncio.timeout(1), loop.time()
        )  # type: ignore[misc]
        if refused:
            with pytest.raises(BadRequest, match="larger chunks"):
                upload.received(1_000_000)
        else:
            upload.received(1_000_000)


def test_a_caller_has_half_of_the_space_and_all_together_the_whole() -> None:
    space = TempSpace(100)
    with space.hold("acme") as acme, space.hold("globex") as globex:
        acme.add(50)
        with pytest.raises(InsufficientStorage):
            acme.add(1)
        globex.add(40)
        with space.hold() as answer:
            with pytest.raises(InsufficientStorage):
                answer.add(11)
            answer.add(10)
        assert space.used_bytes == 90
    assert space.used_bytes == 0
    assert InsufficientStorage.http_status == 503

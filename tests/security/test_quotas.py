"""Attempts to get more audio than a key's quota, more memory than a splitter has, and other tenants' job storage."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from services.admin import keys as api_keys
from services.http_edge.auth.api_keys import Key
from services.http_edge.auth.quota import Quota, account_of
from tests.support.front import SETTINGS, Front, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

QUOTA_S = 60.0
TESTS = 20  # at least as many as there are
FIVE_BREAKS = "".join('<break time="10s"/>' for _ in range(59))
# 64 characters, about 4.9 s
SENTENCE = "It was a bright cold day in April and the clocks were striking. "


pytestmark = pytest.mark.asyncio(loop_scope="module")


def new_key(file: Path, name: str, *limits: str) -> str:
    """Add a key to a file of keys, and return it."""
    with redirect_stdout(io.StringIO()) as output:
        api_keys.main([str(file), "--name", name, *limits])

    return output.getvalue().strip()


@dataclass(frozen=True)
class Keys:
    """API keys of which nothing is used: of two tenants with a quota, and of the first tenant without one."""

    acme: str
    globex: str
    free: str
    account: str  # name of the key `acme`, and of its tenant


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.toml"


@pytest.fixture(scope="module")
def unused(keys_file: Path) -> Iterator[Keys]:
    """Return keys for every test of this file."""
    made = []

    for number in range(TESTS):
        acme, globex = f"acme-{number}", f"globex-{number}"
        acme_key, globex_key = (
            new_key(keys_file, name, "--tenant", name, "--audio-seconds-a-day", str(QUOTA_S))
            for name in (acme, globex)
        )
        free_key = new_key(keys_file, f"free-{number}", "--tenant", acme)
        made.append(Keys(acme_key, globex_key, free_key, acme))

    return iter(made)


@pytest.fixture
def keys(unused: Iterator[Keys]) -> Keys:
    return next(unused)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory,
    keys_file: Path,
    unused: Iterator[Keys],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Front]:
    assert unused
    settings = msgspec.structs.replace(SETTINGS, api_keys_file=str(keys_file))
    folder, factor = tmp_path_factory.mktemp("nats"), getattr(request, "param", 0.0)
    async with front(folder, edges=2, settings=settings, real_time_factor=factor) as made:
        yield made


def bearing(secret: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} | more


async def used_s(service: Front, keys: Keys) -> float:
    """Return the seconds of audio that are charged to the key `acme`."""
    name = keys.account
    account = account_of(Key(name=name, hash="0" * 64, tenant=name, audio_seconds_a_day=QUOTA_S))
    assert account is not None
    return QUOTA_S - await Quota(service.bus).left_s(account)


async def until_used(service: Front, keys: Keys, seconds: float) -> None:
    """Wait until the key `acme` is charged this, within a hundredth of a second."""
    async with asyncio.timeout(60):
        while abs(await used_s(service, keys) - seconds) > 0.01:
            await asyncio.sleep(0.05)


async def asked(
    service: Front,
    headers: dict[str, str],
    path: str = "/synthesize",
    edge: int = 0,
    **fields: str | bytes | None,
) -> tuple[int, str, float]:
    """Return status, code, and the seconds of audio in the body."""
    async with await service.post(path, edge=edge, headers=headers, **fields) as response:
        if response.status == 200:
            return 200, "", len(pcm_of(await response.read())) / 48_000
        code: str = (await response.json(content_type="application/problem+json"))["code"]
        if code == "quota_used_up":
            assert 1 <= int(response.headers["Retry-After"]) <= 86_400
        return response.status, code, 0.0


ATTACKS: dict[str, dict[str, str]] = {
    "silence": {"text": f"<speak>Yes.{FIVE_BREAKS} No.</speak>", "text_type": "ssml"},
    "pauses of paragraphs": {"text": "A.\n\nB.\n\n" * 80},
    "pronunciations": {
        "text": "a " * 2_000,
        "pronunciations": json.dumps({"a": "word " * 19 + "word"}),
    },
    "pronunciations to digits": {
        "text": "a " * 200,
        "pronunciations": json.dumps({"a": "9" * 100}),
    },
    "a long text": {"text": SENTENCE * 1_500},
    "digits": {"text": "123456789 " * 60},
    "one long number": {"text": f"It is {'7' * 400}."},
    "signs": {"text": "It is " + "≤ " * 100},
    "a slow voice": {"text": SENTENCE * 5, "speed": "0.25"},
    "a slow passage": {
        "text": f'<speak><prosody rate="25%">{SENTENCE * 5}</prosody></speak>',
        "text_type": "ssml",
    },
    "aliases": {
        "text": f'<speak><sub alias="{SENTENCE * 20}">x</sub></speak>',
        "text_type": "ssml",
    },
    "figures one by one": {
        "text": "<speak>"
        + '<say-as interpret-as="characters">9999999999</say-as>. ' * 20
        + "</speak>",
        "text_type": "ssml",
    },
    "characters of few a second": {"text": "雪又下了。" * 80, "language": "zh"},
}


async def test_a_text_longer_than_the_quota_is_refused_before_a_word_is_spoken(
    service: Front, keys: Keys
) -> None:
    headers = bearing(keys.acme)
    await service.until_idle()
    before = await service.spoken()
    for attack, fields in ATTACKS.items():
        for path in ("/synthesize", "/stream"):
            assert (await asked(service, headers, path, **fields))[:2] == (429, "quota_used_up"), (
                attack
            )
        async with await service.post("/jobs", headers=headers, **fields) as response:
            status, answer = response.status, await response.json(content_type=None)
        if status == 202:
            answer = await ended(service, answer["id"], keys.acme)
            assert answer["state"] == "failed", attack
        assert answer["code"] == "quota_used_up", attack
        assert await service.spoken() == before, attack
        await until_used(service, keys, 0.0)


async def ended(service: Front, job: str, secret: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with await service.get(f"/jobs/{job}", headers=bearing(secret)) as response:
                shown: dict[str, Any] = await response.json()
            if shown["state"] in ("done", "failed", "cancelled"):
                return shown
            await asyncio.sleep(0.05)


async def test_what_is_charged_is_what_was_spoken_with_its_silence(
    service: Front, keys: Keys
) -> None:
    *_, seconds = await asked(service, bearing(keys.acme))
    assert seconds == pytest.approx(len(expected_pcm(TEXT)) / 48_000)
    await until_used(service, keys, seconds)
    *_, more = await asked(service, bearing(keys.acme), "/stream", edge=1, text="Yes.")
    await until_used(service, keys, seconds + more)
    text = '<speak>Yes.<break time="10s"/> No.</speak>'
    *_, silent = await asked(service, bearing(keys.acme), text=text, text_type="ssml")
    assert silent > 10
    await until_used(service, keys, seconds + more + silent)
    async with await service.post("/jobs", headers=bearing(keys.acme), text="No.") as response:
        job = (await response.json())["id"]
    shown = await ended(service, job, keys.acme)
    assert shown["state"] == "done"
    await until_used(service, keys, seconds + more + silent + shown["audio_seconds"])


async def test_what_cannot_be_spoken_costs_nothing(service: Front, keys: Keys) -> None:
    headers = bearing(keys.acme)
    for fields, status in (
        ({"reference_audio": b"this is no recording"}, 422),
        ({"text": "?! ..."}, 422),
        ({"text": "<speak><break/></speak>", "text_type": "ssml"}, 422),
        ({"text": "שלום עולם", "language": "en"}, 422),
        ({"temperature": "0.7"}, 422),
        ({"seed": "many"}, 400),
    ):
        for path in ("/synthesize", "/stream"):
            assert (await asked(service, headers, path, **fields))[0] == status, fields
        await until_used(service, keys, 0.0)
    assert (await asked(service, headers, text=SENTENCE * 9))[0] == 200


async def test_of_many_at_once_no_more_are_admitted_than_the_quota_holds(
    service: Front, keys: Keys
) -> None:
    requests = [
        asked(
            service,
            bearing(keys.acme),
            "/stream" if number % 2 else "/synthesize",
            number % 2,
            text=SENTENCE * 8,
        )
        for number in range(12)
    ]
    answers = await asyncio.gather(*requests)
    spoken = [seconds for status, _, seconds in answers if status == 200]
    assert len(spoken) == 1
    assert {code for status, code, _ in answers if status != 200} == {"quota_used_up"}
    await until_used(service, keys, sum(spoken))


async def test_texts_that_only_a_splitter_can_estimate_share_the_quota_as_well(
    service: Front, keys: Keys
) -> None:
    # 21 s by its characters, over 50 s when it is spoken
    numbers = "In all there were 123456789 of them. " * 8
    answers = await asyncio.gather(
        *(asked(service, bearing(keys.acme), edge=number % 2, text=numbers) for number in range(6))
    )
    assert sum(seconds for *_, seconds in answers) < QUOTA_S
    assert {code for _, code, _ in answers} <= {"", "quota_used_up"}
    async with asyncio.timeout(60):
        while (
            await used_s(service, keys) > 1.05 * QUOTA_S
        ):  # what was spoken of the others before they were stopped counts
            await asyncio.sleep(0.05)


async def test_a_retry_under_an_idempotency_key_is_not_charged_again_and_comes_through_when_all_is_used(
    service: Front, keys: Keys
) -> None:
    headers, text = bearing(keys.acme, **{"Idempotency-Key": "a-retry"}), SENTENCE * 10
    answers = await asyncio.gather(
        *(asked(service, headers, edge=number % 2, text=text) for number in range(4))
    )
    assert {answer[:2] for answer in answers} == {(200, "")}
    whole_s = answers[0][2]
    await until_used(service, keys, whole_s)
    assert (await asked(service, bearing(keys.acme), text=SENTENCE * 8))[:2] == (
        429,
        "quota_used_up",
    )
    assert await asked(service, headers, "/stream", 1, text=text) == (
        200,
        "",
        pytest.approx(whole_s),
    )
    await until_used(service, keys, whole_s)


async def test_each_tenant_and_each_key_has_its_own_quota(service: Front, keys: Keys) -> None:
    assert (await asked(service, bearing(keys.acme), text=SENTENCE * 10))[0] == 200
    assert (await asked(service, bearing(keys.acme), text=SENTENCE * 10))[0] == 429
    assert (await asked(service, bearing(keys.globex), text=SENTENCE * 10))[0] == 200
    assert (await asked(service, bearing(keys.free), text=SENTENCE * 20))[0] == 200


@pytest.mark.parametrize("path", ["/synthesize", "/jobs"])
async def test_pronunciations_that_make_a_text_many_times_longer_are_refused(
    service: Front, keys: Keys, path: str
) -> None:
    fields = {
        "text": "a " * (9_000 if path == "/jobs" else 45_000),
        "pronunciations": json.dumps({"a": "9" * 100}),
    }
    await service.until_idle()
    before = await service.spoken()
    async with await service.post(path, headers=bearing(keys.free), **fields) as response:
        status, answer = response.status, await response.json(content_type=None)
    if path == "/jobs":
        shown = await ended(service, answer["id"], keys.free)
        assert (shown["state"], shown["code"]) == ("failed", "text_too_long")
        answer = shown
    else:
        assert (status, answer["code"]) == (413, "text_too_long")
    assert "pronunciations" in answer["detail"]
    await service.until_idle()
    assert await service.spoken() == before


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_a_client_that_leaves_is_charged_what_was_spoken_and_a_resumption_what_is_spoken_then(
    service: Front, keys: Keys
) -> None:
    text, name = SENTENCE * 8, "left-in-the-middle"
    whole_s = len(expected_pcm(text)) / 48_000
    response = await service.post(
        "/stream", headers=bearing(keys.acme, **{"Request-Name": name}), text=text
    )
    await response.content.readexactly(200_000)
    response.close()
    await service.until_idle()
    async with asyncio.timeout(60):
        while not 4.0 < await used_s(service, keys) < whole_s - 4:
            await asyncio.sleep(0.05)
    async with await service.get(
        f"/requests/{name}/audio?from=200000", headers=bearing(keys.acme)
    ) as rest:
        body = await rest.read()
    assert 200_000 + len(body) == 44 + round(whole_s * 48_000)
    await until_used(service, keys, whole_s)
    async with await service.get(
        f"/requests/{name}/audio?from=0", headers=bearing(keys.acme), edge=1
    ) as again:
        assert len(await again.read()) == 44 + round(whole_s * 48_000)
    await until_used(service, keys, whole_s)  # stored audio is played again for nothing


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_requests_that_are_left_and_resumed_do_not_add_up_to_more_than_the_quota(
    service: Front, keys: Keys
) -> None:
    names = [f"left-at-once-{number}" for number in range(5)]
    for name in names:
        response = await service.post(
            "/stream", headers=bearing(keys.acme, **{"Request-Name": name}), text=SENTENCE * 8
        )
        await response.content.readexactly(45)
        response.close()
        await service.until_idle()
        async with asyncio.timeout(60):
            while await used_s(service, keys) > 30:  # what was reserved for the rest is released
                await asyncio.sleep(0.05)

    async def resumed(name: str) -> int:
        async with await service.get(
            f"/requests/{name}/audio?from=0", headers=bearing(keys.acme)
        ) as response:
            try:
                return len(await response.read()) if response.status == 200 else 0
            except aiohttp.ClientPayloadError:
                return 0

    heard = await asyncio.gather(*map(resumed, names))
    assert sum(map(bool, heard)) <= 1
    await service.until_idle()
    async with asyncio.timeout(60):
        while await used_s(service, keys) > QUOTA_S:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("service", [2.0], indirect=True)
async def test_a_job_that_is_cancelled_costs_what_was_spoken_and_one_that_waits_nothing(
    service: Front, keys: Keys
) -> None:
    headers = bearing(keys.acme)
    async with await service.post("/jobs", headers=headers, text=SENTENCE * 8) as response:
        job = (await response.json())["id"]
    assert await used_s(service, keys) > 30
    async with service.session.delete(
        f"{service.addresses[0]}/jobs/{job}", headers=headers
    ) as response:
        assert response.status == 202
    assert (await ended(service, job, keys.acme))["state"] == "cancelled"
    async with asyncio.timeout(60):
        while await used_s(service, keys) > 20:
            await asyncio.sleep(0.05)

"""The voice library over HTTP, on a real nats-server: create, list, change, replace, delete, export and import."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
import pytest_asyncio
from yarl import URL

from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.voice_file import draft_voice, pack_voice, unpack_voice
from services.common.voice_tensors import VoiceTensors, pack_tensors
from services.common.wire import codec, subjects
from services.common.wire.voices import SHARED_TENANT, VoiceForgotten
from tests.support.front import SETTINGS, VOICE, Front, front
from tests.support.messages import STORED_VOICE
from tests.support.recordings import encoded, speech_of
from tests.support.wav import pcm_of

OTHER_VOICE = encoded(speech_of(8).samples, 24_000)
pytestmark = pytest.mark.asyncio(loop_scope="module")

CONSENT = {
    "speaker": "Anna Weber",
    "statement": "I agree that my voice is cloned.",
    "date": "2026-01-31",
    "method": "written",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats"), edges=2) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def service(shared: Front) -> AsyncIterator[Front]:
    """Use the service of this file; the voices of each test are deleted after it."""
    yield shared
    await delete_voices(shared)


async def delete_voices(service: Front) -> None:
    """Delete the library and everything that came with requests, once no request uses it."""
    await service.until_idle()
    _, found = await send(service, "GET", "/voices?kind=library")
    for voice in found["voices"]:
        assert await send(service, "DELETE", f"/voices/{voice['id']}") == (204, None)
    assert await send(service, "DELETE", "/voices/uploads") == (204, None)


def voice_form(files: tuple[bytes, ...] = (VOICE,), **fields: str | None) -> aiohttp.FormData:
    usual: dict[str, str | None] = {"name": "Anna", "consent": json.dumps(CONSENT)}
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in (usual | fields).items():
        if value is not None:
            made.add_field(name, value)
    for content in files:
        made.add_field("reference_audio", io.BytesIO(content), filename="file")
    return made


async def send(
    service: Front, method: str, path: str, *, edge: int = 0, **options: Any
) -> tuple[int, Any]:
    """Return status and JSON of a response; the JSON of an empty one is None."""
    url = f"{service.addresses[edge]}{path}"
    async with service.session.request(method, url, **options) as response:
        content = await response.read()
        return response.status, json.loads(content) if content else None


async def create(service: Front, *, edge: int = 0, **fields: Any) -> tuple[int, Any]:
    return await send(service, "POST", "/voices", edge=edge, data=voice_form(**fields))


async def stored(service: Front) -> set[str]:
    """Return every key of the library, and of what was computed from its voices."""
    held: set[str] = set()
    for bucket in (topology.LIBRARY, topology.VOICES):
        held |= (await service.bus.count_by_subject(f"KV_{bucket}", ">")).keys()
    return held


async def test_a_voice_is_created_shown_changed_and_deleted_at_any_edge(service: Front) -> None:
    before = await stored(service)
    parameters = '{"speed": 1.25}'
    async with service.session.post(
        f"{service.addresses[0]}/voices",
        data=voice_form(language="fr-FR", description="warm", parameters=parameters),
    ) as response:
        assert response.status == 201, await response.text()
        made = await response.json()
        assert response.headers["Location"] == f"/voices/{made['id']}"
    assert (made["name"], made["kind"], made["language"]) == ("Anna", "library", "fr")
    assert (made["revision"], made["clips"], made["consent"]) == (1, 1, CONSENT)
    assert (made["description"], made["parameters"]) == ("warm", {"speed": 1.25})
    assert made["audio_s"] > 3
    assert made["created_at"].endswith("+00:00")
    assert "uploaded_by" not in made, "without API keys there is none"

    for path in (f"/voices/{made['id']}", "/voices/ANNA"):
        assert await send(service, "GET", path, edge=1) == (200, made)
    status, changed = await send(
        service,
        "PATCH",
        "/voices/Anna",
        edge=1,
        json={"name": "Anne B", "language": None, "description": "", "parameters": {}},
    )
    assert (status, changed["name"], changed["parameters"]) == (200, "Anne B", {})
    assert not {"language", "description"} & changed.keys()
    assert (await send(service, "GET", "/voices/Anna"))[0] == 404

    listener = await service.bus.subscribe(subjects.FORGETS, limit=10)
    assert await send(service, "DELETE", "/voices/anne%20b") == (204, None)
    received = await listener.next(2)
    assert received is not None
    assert codec.decode(received.payload, VoiceForgotten).voice == made["id"]
    await listener.close()
    assert await stored(service) == before
    status, problem = await send(service, "DELETE", f"/voices/{made['id']}")
    assert (status, problem["code"]) == (404, "unknown_voice")


async def test_of_two_edges_that_create_one_name_at_once_one_gets_it(service: Front) -> None:
    answers = await asyncio.gather(*(create(service, edge=number % 2) for number in range(4)))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409]
    assert {body["code"] for status, body in answers if status == 409} == {"voice_name_taken"}
    _, listed = await send(service, "GET", "/voices?kind=library")
    assert [voice["name"] for voice in listed["voices"]] == ["Anna"]


async def test_replaced_clips_are_a_new_revision_with_the_consent_that_was_sent(
    service: Front,
) -> None:
    _, made = await create(service)
    data = voice_form((OTHER_VOICE, VOICE), name=None, consent=None)
    status, problem = await send(service, "PUT", "/voices/Anna/clips", data=data)
    assert (status, problem["code"]) == (422, "consent_required")
    other = CONSENT | {"speaker": "Berta"}
    data = voice_form((OTHER_VOICE, VOICE), name=None, consent=json.dumps(other))
    status, replaced = await send(service, "PUT", "/voices/Anna/clips", data=data)
    assert status == 200, replaced
    assert (replaced["id"], replaced["revision"], replaced["clips"]) == (made["id"], 2, 2)
    assert replaced["consent"] == other
    assert replaced["audio_s"] > made["audio_s"]
    data = voice_form(description="not here", name=None)
    status, problem = await send(service, "PUT", "/voices/Anna/clips", data=data)
    assert (status, problem["code"]) == (400, "bad_request")
    status, _ = await send(service, "PUT", "/voices/Missing/clips", data=voice_form(name=None))
    assert status == 404


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"consent": None}, 422, "consent_required", '{"speaker"'),
    ({"consent": '{"speaker": "Anna"}'}, 400, "bad_request", "consent must be"),
    (
        {"consent": json.dumps(CONSENT | {"date": "2026-02-30"})},
        400,
        "bad_request",
        "consent must be",
    ),
    ({"name": None}, 400, "bad_request", "name is missing"),
    ({"name": "a/b"}, 400, "bad_request", "name must be"),
    ({"name": "Uploads"}, 400, "bad_request", "name must not be"),
    ({"name": "v_" + "0" * 20}, 400, "bad_request", "name must not be"),
    ({"language": "xx"}, 400, "bad_request", "language is unknown"),
    ({"description": "x" * 501}, 400, "bad_request", "description must be"),
    ({"parameters": '{"speed": 9}'}, 400, "bad_request", "parameters must be"),
    ({"parameters": '{"pitch": 1}'}, 400, "bad_request", "parameters must be"),
    ({"text": "hello"}, 400, "bad_request", "unknown field"),
    ({"files": ()}, 400, "bad_request", "reference_audio is missing"),
    ({"files": (b"",)}, 400, "bad_request", "reference_audio is empty"),
    ({"files": (VOICE,) * 9}, 400, "bad_request", "more than 8 files"),
    (
        {"files": (VOICE, encoded(speech_of(7).samples[:24_000], 24_000))},
        422,
        "unusable_reference",
        "file 2 of 2: ",
    ),
    ({"files": (b"no audio at all " * 100,)}, 422, "unusable_reference", "is not audio"),
]


async def test_a_voice_that_cannot_be_stored_is_refused_and_nothing_is_stored(
    service: Front,
) -> None:
    before = await stored(service)
    clips = await service.bus.message_count(f"OBJ_{topology.CLIPS}")
    for fields, status, code, words in REFUSED:
        got, problem = await create(service, **fields)
        assert (got, problem["code"]) == (status, code), problem
        assert words in problem["detail"]
    assert await stored(service) == before
    assert await service.bus.message_count(f"OBJ_{topology.CLIPS}") == clips


INVALID_CHANGES = [
    (b"{}", "any of name"),
    (b"[1]", "JSON object"),
    (b'{"voice": 1}', "any of name"),
    (b'{"name": 1}', "name must be a string"),
    (b'{"name": null}', "name must be a string"),
    (b'{"language": 3}', "language must be"),
    (b'{"consent": null}', "consent must be"),
    (b'{"parameters": []}', "parameters must be"),
    (b"[" * 20_000, "JSON object"),
    (b'{"description": "' + b"x" * 40_000 + b'"}', "longer than"),
]


async def test_changes_that_are_not_valid_are_refused(service: Front) -> None:
    _, made = await create(service)
    headers = {"Content-Type": "application/json"}
    for body, words in INVALID_CHANGES:
        status, problem = await send(service, "PATCH", "/voices/Anna", data=body, headers=headers)
        assert (status, problem["code"]) == (400, "bad_request")
        assert words in problem["detail"]
    assert (await send(service, "GET", "/voices/Anna"))[1] == made


async def test_voices_are_listed_in_pages_with_shared_ones_on_the_first(tmp_path: Path) -> None:
    async with front(tmp_path) as service:
        await check_pages(service)


async def check_pages(service: Front) -> None:
    library = VoiceLibrary(service.bus)
    draft = msgspec.structs.replace(STORED_VOICE, leftovers=())
    names = ["Anna", "Bert", "Carla", "Dänny", "Anton"]
    for name in names:
        language = "en" if name == "Bert" else "fr"
        await library.create(
            msgspec.structs.replace(draft, name=name, language=language), [name.encode()]
        )
    shared = msgspec.structs.replace(draft, tenant=SHARED_TENANT, name="Reader")
    await library.create(shared, [b"shared"])
    await library.create(
        msgspec.structs.replace(draft, tenant="other", name="Hidden"), [b"of another tenant"]
    )

    _, page = await send(service, "GET", "/voices?limit=3")
    library_page = [voice["name"] for voice in page["voices"] if voice["kind"] == "library"]
    assert library_page == names[:3]
    [reader] = [voice for voice in page["voices"] if voice["kind"] == "shared"]
    assert reader["name"] == "Reader"
    assert not {"consent", "uploaded_by"} & reader.keys()
    _, rest = await send(service, "GET", f"/voices?limit=3&after={page['next']}")
    assert [voice["name"] for voice in rest["voices"]] == names[3:]
    assert rest["next"] is None

    for query, expected in (
        ("kind=library&language=en-GB", ["Bert"]),
        ("kind=library&q=AN", ["Anna", "Anton"]),
        ("kind=library&q=d%C3%A4n", ["Dänny"]),
        ("kind=shared", ["Reader"]),
        ("q=hidden", []),
    ):
        _, found = await send(service, "GET", f"/voices?{query}")
        assert [voice["name"] for voice in found["voices"]] == expected, query
    assert (await send(service, "GET", "/voices/Hidden"))[0] == 404
    assert (await send(service, "GET", "/voices/Reader"))[1] == reader
    for method, path in (("DELETE", "/voices/Reader"), ("DELETE", f"/voices/{reader['id']}")):
        assert (await send(service, method, path))[0] == 404


INVALID_QUERIES = [
    ("limit=0", "limit must be"),
    ("limit=201", "limit must be"),
    ("limit=x", "limit must be"),
    ("limit=5&limit=6", "limit was sent twice"),
    ("after=Anna", "after must be"),
    ("language=xx", "language is unknown"),
    ("kind=own", "kind must be"),
    (f"q={'x' * 65}", "q must be"),
    ("page=2", "unknown query parameter page"),
]


async def test_a_query_that_is_not_valid_is_refused_by_name(service: Front) -> None:
    for query, words in INVALID_QUERIES:
        status, problem = await send(service, "GET", f"/voices?{query}")
        assert (status, problem["code"]) == (400, "bad_request"), query
        assert words in problem["detail"], query


async def test_an_unknown_voice_is_404_with_the_nearest_names(service: Front) -> None:
    await create(service, name="Annabelle")
    status, problem = await send(service, "GET", "/voices/Anabelle")
    assert (status, problem["code"]) == (404, "unknown_voice")
    assert "Annabelle" in problem["detail"]


async def test_an_exported_voice_is_imported_as_an_equal_voice(service: Front) -> None:
    _, made = await create(service, language="fr", parameters='{"speed": 1.25}')
    async with await service.get("/voices/Anna/export", edge=1) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/zip"
        assert response.headers["Content-Disposition"] == (
            f'attachment; filename="{made["id"]}.voice.zip"'
        )
        content = await response.read()
    status, problem = await import_file(service, content)
    assert (status, problem["code"]) == (409, "voice_name_taken")
    await send(service, "DELETE", "/voices/Anna")
    status, imported = await import_file(service, content)
    assert status == 201, imported
    differing = {"id", "created_at", "changed_at", "warnings", "audio_s"}
    assert {k: v for k, v in imported.items() if k not in differing} == {
        k: v for k, v in made.items() if k not in differing
    }
    assert imported["audio_s"] == pytest.approx(made["audio_s"], abs=0.01)
    assert imported["id"] != made["id"]


async def test_a_computed_voice_is_exported_and_speaks_without_recordings(
    service: Front,
) -> None:
    await create(service)
    status, problem = await send(service, "GET", "/voices/Anna/export?computed=true")
    assert (status, problem["code"], problem["field"]) == (400, "bad_request", "computed")
    async with await service.post("/synthesize", reference_audio=None, voice="Anna") as response:
        audio = await response.read()
    async with await service.get("/voices/Anna/export?computed=true") as response:
        assert response.status == 200
        _, wavs, computed = unpack_voice(await response.read(), "public")
    assert (len(wavs), len(computed)) == (1, 1)

    draft = draft_voice("public", "Bert", computed)
    alone = pack_voice(msgspec.structs.replace(draft, consent=STORED_VOICE.consent), [], computed)
    status, imported = await import_file(service, alone)
    assert (status, imported["clips"]) == (201, 0)
    assert imported["computed"] == [{"engine": "tone", "model": "1"}]
    async with await service.post("/synthesize", reference_audio=None, voice="Bert") as response:
        assert response.status == 200
        assert pcm_of(await response.read()) == pcm_of(audio)


async def test_a_voice_that_only_another_engine_can_use_is_refused(service: Front) -> None:
    numbers = {"gpt_cond_latent": np.ones((1, 32, 8), dtype=np.float32)}
    foreign = pack_tensors(VoiceTensors("xtts", "abc", numbers))
    draft = msgspec.structs.replace(
        draft_voice("public", "Anna", [foreign]), consent=STORED_VOICE.consent
    )
    assert (await import_file(service, pack_voice(draft, [], [foreign])))[0] == 201
    async with await service.post("/synthesize", reference_audio=None, voice="Anna") as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["code"]) == (422, "unusable_reference")
    assert "the engine xtts, model abc" in problem["detail"]


async def test_a_file_that_is_no_exported_voice_is_refused(service: Front) -> None:
    for content in (b"", b"PK\x03\x04 not a voice", VOICE):
        status, problem = await import_file(service, content)
        assert status == 400, problem
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("name", "x")
    assert (await send(service, "POST", "/voices/import", data=form))[0] == 400


async def import_file(service: Front, content: bytes) -> tuple[int, Any]:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("file", io.BytesIO(content), filename="voice.zip")
    return await send(service, "POST", "/voices/import", data=form)


async def test_deleting_uploads_erases_clips_of_requests_and_what_was_computed_from_them(
    service: Front,
) -> None:
    _, made = await create(service)
    async with await service.post("/synthesize") as response:
        assert response.status == 200, await response.text()
    assert await service.bus.message_count(f"OBJ_{topology.CLIPS}")
    keys = await service.bus.count_by_subject(f"KV_{topology.VOICES}", ">")
    assert any(".public." in key for key in keys)

    listener = await service.bus.subscribe(subjects.FORGETS, limit=10)
    assert await send(service, "DELETE", "/voices/uploads") == (204, None)
    received = await listener.next(2)
    assert received is not None
    forgotten = codec.decode(received.payload, VoiceForgotten)
    assert (forgotten.tenant, forgotten.voice) == ("public", None)
    await listener.close()

    assert await service.bus.count_by_subject(f"KV_{topology.VOICES}", ">") == {}
    clips = topology.value_subject(topology.PROGRESS, "clip.>")
    assert await service.bus.count_by_subject(f"KV_{topology.PROGRESS}", clips) == {}
    held = await service.bus.storage_use(f"OBJ_{topology.CLIPS}")
    assert held.used < len(VOICE)
    assert (await send(service, "GET", "/voices/Anna"))[1] == made
    assert await send(service, "DELETE", "/voices/uploads") == (204, None)
    async with await service.post("/synthesize") as response:
        assert response.status == 200, "the same recording can be sent again"


async def test_limits_of_a_tenant_and_optional_consent_are_settings(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, tenant_voices=1, voice_consent="optional")
    async with front(tmp_path, settings=settings) as service:
        status, made = await create(service, consent=None)
        assert (status, "consent" in made) == (201, False)
        status, problem = await create(service, name="Bert")
        assert (status, problem["code"]) == (409, "tenant_voices_full")


async def test_odd_paths_queries_and_bodies_are_refused_as_the_clients_fault(
    service: Front,
) -> None:
    await create(service)
    odd = (
        "%00",
        "%0A",
        "%FF%FE",
        "a%2Fb",
        "x" * 3_000,
        "%F0%9F%A4%96",
        "..%2F..",
        "builtin%3A",
        "*",
    )
    for name in odd:
        for path in (f"/voices/{name}", f"/voices/{name}/preview", f"/voices/{name}/export"):
            async with service.session.get(
                URL(f"{service.addresses[0]}{path}", encoded=True)
            ) as response:
                assert response.status in (400, 404), path
    for query in ("limit=%FF", "q=%00", "after=v_%00", "=", "&&", "kind=%F0%9F%A4%96", "limit"):
        url = URL(f"{service.addresses[0]}/voices?{query}", encoded=True)
        async with service.session.get(url) as response:
            assert response.status in (200, 400), query
    deep = "[" * 15_000
    for fields in (
        {"consent": deep},
        {"consent": '{"speaker": "\\ud800"}'},
        {"parameters": '{"speed": 1e999}'},
        {"parameters": '{"speed": NaN}'},
        {"parameters": '{"top_k": ' + "9" * 1_500 + "}"},
        {"name": "a\u0000b"},
        {"name": "\u202ename\u0007"},
        {"consent": "x" * 30_000},
    ):
        status, problem = await create(service, **fields)
        assert (status, problem["code"]) == (400, "bad_request"), fields
    headers = {"Content-Type": "application/json"}
    for body in (b"", b"\xff\xfe", b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"1" * 5_000):
        status, problem = await send(service, "PATCH", "/voices/Anna", data=body, headers=headers)
        assert (status, problem["code"]) == (400, "bad_request"), body[:20]

"""Queries of `GET /voices`, and the JSON of voices."""

import msgspec
import pytest

from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import SHARED_TENANT
from services.http_edge.errors import BadRequest
from services.http_edge.voices.listing import VoiceQuery, parse_query
from services.http_edge.voices.representation import built_in_body, voice_body
from tests.support.messages import STORED_VOICE

HEART = BuiltInVoice(name="Heart", gender="female", languages=("en",))
ANY = BuiltInVoice(name="Anyone", gender="neutral")


def test_an_empty_query_is_the_first_page_of_all_kinds() -> None:
    query = parse_query([])
    assert query == VoiceQuery(limit=50)
    assert all(query.wants(kind) for kind in ("library", "shared", "builtin"))


def test_shared_and_built_in_voices_are_on_the_first_page_only() -> None:
    query = parse_query([("after", STORED_VOICE.voice), ("limit", "200")])
    assert query.wants("library")
    assert not query.wants("shared")
    assert not query.wants("builtin")


def test_a_kind_leaves_out_the_others() -> None:
    query = parse_query([("kind", "builtin")])
    assert [kind for kind in ("library", "shared", "builtin") if query.wants(kind)] == ["builtin"]


def test_names_match_in_part_in_any_case_and_composition() -> None:
    voice = msgspec.structs.replace(STORED_VOICE, name="Zoë Straße")
    for part in ("zoe\u0308", "ZOË", "strasse", "ë s", ""):
        assert parse_query([("q", part)]).matches(voice), part
    assert not parse_query([("q", "zoe")]).matches(voice)


def test_languages_match_in_any_form_and_a_built_in_voice_without_any_has_all() -> None:
    query = parse_query([("language", "en-GB")])
    assert query.matches_built_in(HEART)
    assert query.matches_built_in(ANY)
    assert not query.matches(STORED_VOICE)
    assert not parse_query([("language", "fr")]).matches_built_in(HEART)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ([("limit", "0")], "^limit must"),
        ([("limit", "²")], "^limit must"),
        ([("limit", "9" * 5_000)], "^limit must"),
        ([("after", "")], "^after must"),
        ([("kind", "")], "^kind must"),
        ([("language", "")], "^language is unknown"),
        ([("q", "x" * 65)], "^q must"),
        ([("Limit", "1")], "^unknown query parameter Limit"),
        ([("x\n", "1")], "^unknown query parameter one"),
        ([("q", "a"), ("q", "a")], "q was sent twice"),
    ],
)
def test_a_value_that_is_not_valid_is_refused_by_name(
    query: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        parse_query(query)


def test_the_json_of_a_voice_has_what_applies() -> None:
    body = voice_body(STORED_VOICE)
    assert body["created_at"] < body["changed_at"]
    assert (body["clips"], body["revision"], body["kind"]) == (1, 2, "library")
    assert body["consent"]["speaker"]
    bare = msgspec.structs.replace(
        STORED_VOICE, language=None, description="", consent=None, uploaded_by=""
    )
    missing = {"language", "description", "consent", "uploaded_by"}
    assert voice_body(bare).keys() == body.keys() - missing


def test_the_consent_and_uploader_of_a_shared_voice_are_not_shown() -> None:
    shared = voice_body(msgspec.structs.replace(STORED_VOICE, tenant=SHARED_TENANT))
    assert shared["kind"] == "shared"
    assert not {"consent", "uploaded_by"} & shared.keys()


def test_the_json_of_a_built_in_voice_has_an_id_that_requests_can_send() -> None:
    assert built_in_body(HEART) == {
        "id": "builtin:Heart",
        "name": "Heart",
        "kind": "builtin",
        "languages": ["en"],
        "gender": "female",
    }
    assert "languages" not in built_in_body(ANY)

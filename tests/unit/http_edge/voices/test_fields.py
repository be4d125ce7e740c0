"""The fields of voices, in forms and in JSON."""

import json

import msgspec
import pytest
from msgspec import UNSET

from services.common.wire.failures import ConsentRequired
from services.common.wire.options import Parameters
from services.common.wire.voices import Consent
from services.http_edge.errors import BadRequest
from services.http_edge.voices.fields import (
    CONSENT_EXAMPLE,
    VoiceFields,
    check_imported,
    form_fields,
    json_fields,
    new_voice,
)
from tests.support.messages import STORED_VOICE

CONSENT = msgspec.json.decode(CONSENT_EXAMPLE, type=Consent)


def test_an_empty_field_of_a_form_counts_as_not_sent() -> None:
    assert form_fields({"name": " Anna ", "language": "", "consent": " "}) == VoiceFields(
        name="Anna"
    )


def test_every_field_of_a_form_is_read() -> None:
    sent = {
        "name": "Zoë",
        "language": "en_US",
        "description": "warm",
        "consent": CONSENT_EXAMPLE,
        "parameters": '{"speed": 1.5}',
    }
    assert form_fields(sent) == VoiceFields("Zoë", "warm", "en", Parameters(speed=1.5), CONSENT)


def test_changes_apply_to_what_was_sent_only() -> None:
    changed = json_fields(b'{"description": "", "language": null}').applied(STORED_VOICE)
    assert (changed.description, changed.language) == ("", None)
    assert (
        msgspec.structs.replace(
            changed, description=STORED_VOICE.description, language=STORED_VOICE.language
        )
        == STORED_VOICE
    )


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", " a", "a\n", "x" * 65, "IMPORT"])
def test_a_name_that_is_not_allowed_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match=r"^name must"):
        json_fields(json.dumps({"name": name}).encode())


@pytest.mark.parametrize(
    "change",
    [{"speaker": ""}, {"date": "31.1.2026"}, {"date": "2026-02-30"}, {"age": 3}, {"method": None}],
)
def test_a_consent_that_is_not_valid_is_refused_with_an_example(change: dict[str, object]) -> None:
    sent = json.loads(CONSENT_EXAMPLE) | change
    with pytest.raises(BadRequest, match=r"^consent must be a JSON object such as"):
        form_fields({"consent": json.dumps(sent)})


def test_a_missing_consent_shows_the_field_to_send() -> None:
    form_fields({"consent": CONSENT_EXAMPLE}).require_consent()
    with pytest.raises(ConsentRequired, match="send the field consent: "):
        VoiceFields().require_consent()


def test_a_draft_needs_a_name_and_belongs_to_the_tenant() -> None:
    draft = new_voice(VoiceFields(name="Anna"), tenant="acme", uploaded_by="key-1")
    assert (draft.name, draft.tenant, draft.uploaded_by) == ("Anna", "acme", "key-1")
    with pytest.raises(BadRequest, match="name is missing"):
        new_voice(VoiceFields(consent=CONSENT), tenant="acme", uploaded_by="")


def test_an_imported_voice_is_checked_as_a_form_is() -> None:
    check_imported(STORED_VOICE, consent_required=True)
    without = msgspec.structs.replace(STORED_VOICE, consent=None)
    check_imported(without, consent_required=False)
    with pytest.raises(ConsentRequired):
        check_imported(without, consent_required=True)
    with pytest.raises(BadRequest, match=r"^name must"):
        check_imported(msgspec.structs.replace(STORED_VOICE, name="export"), consent_required=True)


def test_nothing_is_sent_unless_it_is() -> None:
    assert VoiceFields().applied(STORED_VOICE) == STORED_VOICE
    assert VoiceFields().name is UNSET

"""Voices of the library, as the pages read and send them."""

import json

import pytest

from ui.client.library import ConsentForm, LibraryVoice, NewVoice, voice_of
from ui.client.order import ChosenVoice, Order
from ui.widgets.choice import unique_labels
from ui.widgets.save_voice import is_name


def test_a_stored_voice_is_read_with_its_consent() -> None:
    voice = voice_of(
        {
            "id": "v_00000000000000000001",
            "name": "Anna",
            "kind": "library",
            "language": "en",
            "consent": {"speaker": "Anna Weber", "statement": "Yes.", "date": "2026-01-31"},
            "clips": 2,
            "audio_s": 12.4,
            "warnings": ["noisy"],
        }
    )
    assert voice == LibraryVoice(
        id="v_00000000000000000001",
        name="Anna",
        kind="library",
        languages=("en",),
        speaker="Anna Weber",
        consented_on="2026-01-31",
        clips=2,
        seconds=12.4,
        warnings=("noisy",),
    )
    assert voice.own


def test_a_built_in_voice_has_languages_and_gender_and_cannot_be_changed() -> None:
    body = {"id": "builtin:low", "name": "low", "kind": "builtin", "languages": ["fr", "en"]}
    voice = voice_of(body | {"gender": "male"})
    assert (voice.languages, voice.gender, voice.own) == (("fr", "en"), "male", False)


@pytest.mark.parametrize(
    ("languages", "expected"), [((), "fr"), (("en", "fr"), "fr"), (("de", "en"), "de")]
)
def test_a_preview_is_in_the_language_of_the_page_if_the_voice_has_it(
    languages: tuple[str, ...], expected: str
) -> None:
    assert LibraryVoice("v", "Anna", "library", languages).preview_language("fr") == expected


def test_a_new_voice_is_sent_with_its_consent_and_without_empty_fields() -> None:
    consent = ConsentForm("Anna Weber", "I agree.", "2026-01-31", "written")
    new = NewVoice("Anna", (b"wav",), consent)
    fields = new.fields()
    assert fields.keys() == {"name", "consent"}
    assert json.loads(fields["consent"]) == {
        "speaker": "Anna Weber",
        "statement": "I agree.",
        "date": "2026-01-31",
        "method": "written",
    }


def test_a_request_names_a_voice_of_the_library_and_nothing_for_the_default_voice() -> None:
    assert Order("Hi.", "en", ChosenVoice(id="builtin:low")).fields()["voice"] == "builtin:low"
    assert "voice" not in Order("Hi.", "en", ChosenVoice()).fields()
    assert "voice" not in Order("Hi.", "en", ChosenVoice(recordings=(b"wav",))).fields()


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", "a\nb", "a" * 65])
def test_a_name_that_the_service_refuses_is_refused_before_it_is_sent(name: str) -> None:
    assert not is_name(name)
    assert is_name("Anna Karénine")


def test_entries_with_the_same_label_get_a_number() -> None:
    labels = {"a": "voice.wav", "b": "voice.wav", "c": "voice.wav (2)", "d": "Anna"}
    assert unique_labels(labels) == {
        "a": "voice.wav",
        "b": "voice.wav (2)",
        "c": "voice.wav (2) (2)",
        "d": "Anna",
    }

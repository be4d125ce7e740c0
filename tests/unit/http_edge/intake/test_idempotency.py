"""Request ids, idempotency keys and the fingerprints of forms."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.common.wire.options import Parameters, TextOptions
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.body import Upload
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.idempotency import checked_id, checked_key, fingerprint

FORM = Form(
    text="Hello.",
    language="en",
    uploads=(Upload(Path("/tmp/one"), "ab" * 32, 5), Upload(Path("/tmp/two"), "cd" * 32, 6)),
    options=TextOptions(),
    seed=None,
    parameters=Parameters(speed=1.5),
)


def test_an_id_is_a_token() -> None:
    for good in ("12345678", "A_-z0123", "x" * 64):
        assert checked_id(good) == good
    for bad in (
        "",
        "1234567",
        "x" * 65,
        "with.dots",
        "with space",
        "12345678\n",
        "ümlaut-12",
        "star-*-star",
    ):
        with pytest.raises(BadRequest, match="8 to 64"):
            checked_id(bad)


def test_a_key_is_printable_and_the_same_in_quotes() -> None:
    assert checked_key('"abc"') == checked_key("abc") != checked_key("abd")
    assert checked_key("x" * 255) != checked_key("x" * 254)
    for bad in ("", '""', "x" * 256, "tab\there", "ü", "new\nline"):
        with pytest.raises(BadRequest, match="1 to 255"):
            checked_key(bad)


def test_a_voice_counts_only_where_it_was_sent() -> None:
    assert "voice" not in str(FORM.sent())
    named = fingerprint(replace(FORM, voice="Anna"), "speech")
    assert (
        len(
            {named, fingerprint(FORM, "speech"), fingerprint(replace(FORM, voice="Bert"), "speech")}
        )
        == 3
    )


def test_the_voices_of_a_text_count_only_where_they_were_sent() -> None:
    assert "voices" not in str(FORM.sent())
    prints = {
        fingerprint(replace(FORM, voices=voices), "speech")
        for voices in ({}, {"Anna": "low"}, {"Anna": "high"})
    }
    assert len(prints) == 3


def test_the_fingerprints_of_stored_claims_stay_valid() -> None:
    other = replace(
        FORM,
        options=TextOptions(pronunciations={"SQL": "sequel"}, text_type="ssml", split=False),
        seed=7,
        parameters=Parameters(speed=1.25, temperature=0.5),
    )
    assert (
        fingerprint(FORM, "speech")
        == "50d13ecb670c5d51835acb69d5cf0cd7b48160dbf748059f689f1033e33f64e5"
    )
    assert (
        fingerprint(other, "speech")
        == "3b27ac7c1327ca2690c0089b690de58bda06525e8383ca2d77b25114e56a485e"
    )
    assert (
        fingerprint(FORM, "job")
        == "e4184877973651661aa672623f9846ced96abb86e189f1b3e6c4e4f00c87604f"
    )
    assert (
        fingerprint(other, "job")
        == "9bf7097d7700bcfa9dd9fc00f4afc242d2a9a5e8ec69fe60f4f100c61c6214c2"
    )


def test_what_the_service_derives_from_a_form_does_not_identify_it() -> None:
    assert fingerprint(replace(FORM, audio_s=2.5, languages=("en", "fr")), "speech") == fingerprint(
        FORM, "speech"
    )


def test_a_form_is_the_same_whatever_its_uploads_are_called() -> None:
    moved = replace(
        FORM, uploads=tuple(replace(upload, path=Path("/elsewhere")) for upload in FORM.uploads)
    )
    assert fingerprint(moved, "speech") == fingerprint(FORM, "speech")


def test_any_change_makes_it_another_form() -> None:
    changed = [
        replace(FORM, options=TextOptions(spoken_forms=False)),
        replace(FORM, options=TextOptions(pronunciations={"SQL": "sequel"})),
        replace(FORM, text="Hello!"),
        replace(FORM, language="fr"),
        replace(FORM, uploads=FORM.uploads[::-1]),
        replace(FORM, uploads=FORM.uploads[:1]),
        replace(FORM, options=TextOptions(split=False)),
        replace(FORM, seed=0),
        replace(FORM, parameters=Parameters()),
        replace(FORM, parameters=Parameters(speed=1.25)),
    ]
    prints = {fingerprint(form, "speech") for form in [FORM, *changed]} | {fingerprint(FORM, "job")}
    assert len(prints) == len(changed) + 2


def test_every_text_option_identifies_a_form() -> None:
    others = {
        "split": False,
        "spoken_forms": False,
        "pronunciations": {"SQL": "sequel"},
        "text_type": "ssml",
    }
    assert set(others) == set(TextOptions.__struct_fields__)
    changed = [replace(FORM, options=TextOptions(**{name: others[name]})) for name in others]
    assert len({fingerprint(form, "speech") for form in [FORM, *changed]}) == len(others) + 1


def test_a_later_text_option_keeps_stored_fingerprints_valid() -> None:
    class LaterOptions(TextOptions, frozen=True, kw_only=True):
        emphasis: str = ""

    same = replace(FORM, options=LaterOptions())
    assert fingerprint(same, "speech") == fingerprint(FORM, "speech")
    assert fingerprint(replace(FORM, options=LaterOptions(emphasis="high")), "speech") != (
        fingerprint(FORM, "speech")
    )

"""The speakers that the pages find in a text, and the voices that they begin with."""

import pytest

from ui.client.library import LibraryVoice
from ui.client.order import ChosenVoice, Order
from ui.text.dialogue import MOST_SPEAKERS, speakers
from ui.widgets.dialogue import first_voices


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Anna: Hello.\nPaul: Hello.\nANNA: Yes.", ("Anna", "Paul")),
        ("Anna : Bonjour.\n\n  Paul Dupont\u00a0: Oui.", ("Anna", "Paul Dupont")),
        ("安娜：你好。\n保罗：你好。", ("安娜", "保罗")),
        ("Anna: Hello.", ()),
        ("He said: yes, and then: no.", ()),
        ("https://a.example\nhttps://b.example", ()),
        ("12:30 a train\n13:00 a bus", ()),
        ("One sentence. And: this.\nAnother, which: is one.", ()),
        ("\n".join(f"{'ABCDEFGH'[i % 8]}{i}: x" for i in range(40)), None),
    ],
)
def test_speakers_are_names_that_lines_begin_with(text: str, names: tuple[str, ...] | None) -> None:
    found = speakers(text)
    if names is None:
        assert len(found) == MOST_SPEAKERS
    else:
        assert found == names


VOICES = {
    voice.id: voice
    for voice in (
        LibraryVoice("v_1", "Mine", "library"),
        LibraryVoice("builtin:A", "A", "builtin", ("en",)),
        LibraryVoice("builtin:B", "B", "builtin", ("en",)),
        LibraryVoice("builtin:C", "C", "builtin", ("fr",)),
    )
}


def test_each_speaker_begins_with_another_built_in_voice_first_of_the_language() -> None:
    names = ("Anna", "Paul", "Eve")
    assert first_voices(names, VOICES, "en") == {
        "Anna": "builtin:A",
        "Paul": "builtin:B",
        "Eve": "builtin:C",
    }
    assert first_voices(("Anna",), VOICES, "fr") == {"Anna": "builtin:C"}
    assert list(first_voices(names, VOICES, "de").values()) == [
        "builtin:A",
        "builtin:B",
        "builtin:C",
    ]
    assert first_voices(names, {"v_1": VOICES["v_1"]}, "en") == dict.fromkeys(names, "v_1")


def test_a_dialogue_is_sent_as_one_with_the_voices_of_its_names() -> None:
    order = Order("Anna: Hello.", "en", ChosenVoice("builtin:A"), voices={"Anna": "builtin:B"})
    assert order.fields()["text_type"] == "dialogue"
    assert order.fields()["voices"] == '{"Anna": "builtin:B"}'
    plain = Order("Anna: Hello.", "en", ChosenVoice("builtin:A")).fields()
    assert not {"text_type", "voices"} & plain.keys()

"""A dialogue: which voice speaks the lines of each name."""

from collections.abc import Mapping
from itertools import cycle
from typing import Final

import streamlit as st

from ui.client.library import LibraryVoice
from ui.text.dialogue import speakers
from ui.text.markup import is_ssml
from ui.translations import t
from ui.widgets import library
from ui.widgets.choice import choose_one

NO_SPEAKER: Final = ""  # the words before the colon are text


def show(tab: str, text: str, language: str) -> Mapping[str, str]:
    """Show the switch for a text whose lines begin with names; return name -> voice, empty if it is off."""
    names = () if is_ssml(text) else speakers(text)
    stored = library.voices_by_id()
    if not names or not stored:
        return {}
    key = f"{tab}_dialogue"
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(remembered(tab), False)

    def note() -> None:
        st.session_state[remembered(tab)] = st.session_state[key]

    if not st.toggle(
        t("dialogue.show"),
        value=st.session_state[key],
        key=key,
        on_change=note,
        help=t("dialogue.help", names=", ".join(names)),
    ):
        return {}
    labels = {voice: library.label(stored[voice]) for voice in stored}
    labels[NO_SPEAKER] = t("dialogue.no_speaker")
    chosen: dict[str, str] = {}
    columns = st.columns(2)
    for place, (name, first) in enumerate(first_voices(names, stored, language).items()):
        with columns[place % 2]:
            voice = choose_one(
                t("dialogue.voice_of", name=name),
                labels,
                remembered=remembered(tab, name),
                first=first,
                placeholder=t("voice.gone"),
            )
        if voice:
            chosen[name] = voice
    return chosen


def chosen(tab: str, text: str, language: str) -> Mapping[str, str]:
    """Return what `show` returned in this tab, for another tab."""
    state = st.session_state
    names = () if is_ssml(text) else speakers(text)
    stored = library.voices_by_id()
    if not names or not state.get(remembered(tab), False):
        return {}
    voices = {
        name: state.get(remembered(tab, name), first)
        for name, first in first_voices(names, stored, language).items()
    }
    return {name: voice for name, voice in voices.items() if voice in stored}


def remembered(tab: str, name: str = "") -> str:
    """Return where the session keeps the voice of a name; without a name, whether the switch is on."""
    return f"{tab}_speaker_{name.casefold()}" if name else f"{tab}_is_dialogue"


def recall(tab: str, voices: Mapping[str, str]) -> None:
    """Choose these voices at the next run of the script; none: the text is no dialogue."""
    state = st.session_state
    for key in [key for key in state if str(key).startswith(f"{tab}_speaker_")]:
        del state[key]
    state.pop(f"{tab}_dialogue", None)
    state[remembered(tab)] = bool(voices)
    for name, voice in voices.items():
        state[remembered(tab, name)] = voice


def first_voices(
    names: tuple[str, ...], voices: Mapping[str, LibraryVoice], language: str
) -> dict[str, str]:
    """Return a voice for each name: built-in ones, those of the language first, different if there are enough."""
    builtin = [voice for voice in voices.values() if voice.kind == "builtin"]
    builtin.sort(key=lambda voice: language not in voice.languages)
    usual = [voice.id for voice in builtin] or list(voices)
    return dict(zip(names, cycle(usual), strict=False))

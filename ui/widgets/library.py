"""The service's voice library: listed for a few seconds, labelled, and listened to."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from ui import shared
from ui.client.library import LibraryVoice, VoiceList
from ui.errors import Refusal
from ui.translations import t, tongue
from ui.widgets import press
from ui.widgets.languages import languages
from ui.widgets.notices import show_refusal

_FOUND: Final = "found_voices"  # of this session, by id


def refresh() -> None:
    """Ask the service again, as something has changed."""
    shared.VOICES.refresh()


def voices_by_id() -> Mapping[str, LibraryVoice]:
    """Return the voices by their ids: own, shared, built-in. None where they cannot be listed."""
    listed = shared.VOICES.get()
    found: dict[str, LibraryVoice] = st.session_state.get(_FOUND, {})
    return found | (_by_id(listed) if isinstance(listed, VoiceList) else {})


def found_by_name(name: str) -> Mapping[str, LibraryVoice]:
    """Return the voices with this in their name, of the whole library. Raises Refusal."""
    return _by_id(shared.service().voices(name))


def use(voice: LibraryVoice) -> None:
    """List a voice in this session, even if the list is too long to have it."""
    st.session_state.setdefault(_FOUND, {})[voice.id] = voice


def forget(voice: str) -> None:
    """Remove a deleted voice from the list of this session."""
    st.session_state.get(_FOUND, {}).pop(voice, None)


def is_complete() -> bool:
    """Return whether the list has all voices of the library."""
    listed = shared.VOICES.get()
    return not isinstance(listed, VoiceList) or listed.complete


def _by_id(listed: VoiceList) -> dict[str, LibraryVoice]:
    ranks = {"library": 0, "shared": 1, "builtin": 2}
    known = [voice for voice in listed.voices if voice.id and voice.kind in ranks]
    known.sort(key=lambda voice: (ranks[voice.kind], voice.name.casefold()))
    return {voice.id: voice for voice in known}


def show_problems() -> None:
    """Show why voices are missing, if any are. An unreachable service is reported at the top of the page."""
    listed = shared.VOICES.get()
    if isinstance(listed, VoiceList):
        if not listed.complete:
            st.caption(t("library.incomplete_list", count=len(listed.voices)))
        return
    if listed is not None and listed.code != "unreachable":
        show_refusal(listed)


def label(voice: LibraryVoice) -> str:
    """Return a voice's name and what distinguishes it."""
    spoken = [languages().get(code, code) for code in voice.languages]
    gender = [t(f"gender.{voice.gender}")] if voice.gender in ("female", "male") else []
    return " · ".join([voice.name, t(f"library.{voice.kind}"), *spoken, *gender])


def listen(voice: LibraryVoice, tab: str) -> None:
    """Show a button that fetches the voice's preview, and its player."""
    if press.button(t("library.listen"), icon=":material/play_arrow:", key=f"{tab}_listen"):
        try:
            with st.spinner(t("library.preparing")):
                content = shared.service().preview(voice.id, voice.preview_language(tongue()))
        except Refusal as refusal:
            show_refusal(refusal)
            return
        st.session_state[f"{tab}_preview"] = (voice.id, content)

    previewed, content = st.session_state.get(f"{tab}_preview", ("", b""))
    if previewed == voice.id:
        st.audio(content, format="audio/wav", alt=t("library.sample_of", name=voice.name))

"""The service's voice library: listed for a few seconds, labelled, and listened to."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from ui import shared
from ui.client.library import LibraryVoice, VoiceList
from ui.errors import Refusal
from ui.translations import t, tongue
from ui.widgets.languages import languages
from ui.widgets.notices import show_refusal

_FRESH_S: Final = 5  # that a list is cached


@st.cache_resource(ttl=_FRESH_S, max_entries=4, show_spinner=False)
def _listed(url: str) -> VoiceList | Refusal:  # noqa: ARG001  # the key of the cache
    """Return the voices, or the error: it is cached as well, so that not every tab waits for it."""
    try:
        return shared.service().voices()
    except Refusal as refusal:
        return refusal


def _now() -> VoiceList | Refusal:
    return _listed(shared.settings().service_url)


def refresh() -> None:
    """Ask the service again, as something has changed."""
    _listed.clear()


def voices_by_id() -> Mapping[str, LibraryVoice]:
    """Return the voices by their ids: own, shared, built-in. None where they cannot be listed."""
    listed = _now()
    if isinstance(listed, Refusal):
        return {}
    ranks = {"library": 0, "shared": 1, "builtin": 2}
    known = [voice for voice in listed.voices if voice.id and voice.kind in ranks]
    known.sort(key=lambda voice: (ranks[voice.kind], voice.name.casefold()))
    return {voice.id: voice for voice in known}


def show_problems() -> None:
    """Show why voices are missing, if any are. An unreachable service is reported at the top of the page."""
    listed = _now()
    if isinstance(listed, VoiceList):
        if not listed.complete:
            st.caption(t("library.incomplete_list", count=len(listed.voices)))
        return
    if listed.code != "unreachable":
        show_refusal(listed)


def label(voice: LibraryVoice) -> str:
    """Return a voice's name and what distinguishes it."""
    spoken = [languages().get(code, code) for code in voice.languages]
    gender = [t(f"gender.{voice.gender}")] if voice.gender in ("female", "male") else []
    return " · ".join([voice.name, t(f"library.{voice.kind}"), *spoken, *gender])


def listen(voice: LibraryVoice, tab: str) -> None:
    """Show a button that fetches the voice's preview, and its player."""
    if st.button(t("library.listen"), icon=":material/play_arrow:", key=f"{tab}_listen"):
        try:
            with st.spinner(t("library.preparing")):
                content = shared.service().preview(voice.id, voice.preview_language(tongue()))
        except Refusal as refusal:
            show_refusal(refusal)
            return
        st.session_state[f"{tab}_preview"] = (voice.id, content)

    previewed, content = st.session_state.get(f"{tab}_preview", ("", b""))
    if previewed == voice.id:
        st.audio(content, format="audio/wav")

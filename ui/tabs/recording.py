"""Tab 2: a voice of one's own, recorded in the browser and tried at once."""

import streamlit as st

from ui.client.service import ChosenVoice, Order
from ui.errors import BadAudio
from ui.presets import preset
from ui.translations import t, tongue
from ui.widgets import panel, save_voice, voices
from ui.widgets.languages import choose_language
from ui.widgets.parameters import chosen_parameters
from ui.widgets.voices import RecordedVoice

_RATE_HZ = 48_000


def show() -> None:
    """Show the tab."""
    st.write(t("recording.intro"))
    with st.container(border=True):
        st.caption(t("recording.read_aloud"))
        st.markdown(f"> {t('recording.text')}")
    recorded = st.audio_input(t("recording.record"), sample_rate=_RATE_HZ, key="recording")
    if recorded is not None:
        _keep_once(recorded.file_id, recorded.getvalue())
    voice = voices.kept().get(st.session_state.get("recorded_voice", ""))
    if voice is not None:
        _show_recorded(voice)


def _keep_once(file_id: str, content: bytes) -> None:
    """Add a new recording to the session's voices; the other tabs then show it."""
    if st.session_state.get("recorded_file") == file_id:
        return
    count = st.session_state.get("recordings", 0) + 1
    try:
        voice = voices.keep(t("recording.name", number=count), content)
    except BadAudio:
        st.error(t("refusal.unreadable_audio"), icon=":material/error:")
        return
    st.session_state["recorded_voice"] = voice.key
    voices.choose_everywhere(voice.key)
    st.session_state["recordings"], st.session_state["recorded_file"] = count, file_id
    st.rerun()


def _show_recorded(voice: RecordedVoice) -> None:
    voices.show(voice, "recording")
    st.download_button(
        t("recording.download"),
        data=voice.content,
        file_name="voice.wav",
        mime="audio/wav",
        on_click="ignore",
        icon=":material/download:",
    )
    allowed = voices.consent(voice, "recording")
    language = choose_language("recording")
    text = st.text_input(
        t("recording.try_text"), value=preset(tongue(), "test"), key="recording_text"
    )
    ready = allowed and not panel.busy("recording")
    if st.button(t("recording.try"), type="primary", disabled=not ready, key="recording_go"):
        spoken = ChosenVoice(recordings=(voice.content,))
        panel.begin("recording", Order(text, language, spoken, chosen_parameters()), stream=True)
        st.rerun()
    panel.show("recording")
    if allowed:
        st.success(t("recording.kept", name=voice.name), icon=":material/check_circle:")
    with st.expander(t("library.save"), icon=":material/bookmark_add:"):
        save_voice.show("recording", (voice.content,))

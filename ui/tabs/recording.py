"""Tab 2: a voice of one's own, recorded in the browser and tried at once."""

import streamlit as st

from ui.audio.recorded import RecordedVoice
from ui.client.order import ChosenVoice, Order
from ui.errors import BadAudio
from ui.presets import preset
from ui.translations import t, tongue
from ui.widgets import options, panel, save_voice, voices
from ui.widgets.languages import choose_language
from ui.widgets.speak import speak_button

_RATE_HZ = 48_000


def show() -> None:
    """Show the tab."""
    st.write(t("recording.intro"))
    with st.container(border=True):
        st.write(t("recording.read_aloud"))
        st.markdown(f"*{t('recording.text')}*")
    turn: int = st.session_state.setdefault("recordings", 0)
    taken = st.audio_input(t("recording.record"), sample_rate=_RATE_HZ, key=f"recording_{turn}")
    if taken is not None:
        _keep(taken.getvalue(), turn + 1)
    if st.session_state.get("recording_unreadable"):
        st.error(t("refusal.unreadable_audio"), icon=":material/error:")
    voice = voices.kept().get(st.session_state.get("recorded_voice", ""))
    if voice is not None:
        _show_recorded(voice)


def _keep(content: bytes, number: int) -> None:
    """Add a new recording to the session's voices, and empty the recorder for another one."""
    st.session_state["recordings"] = number
    panel.drop("recording")  # it was of another recording
    st.session_state.pop("recorded_voice", None)
    try:
        voice = voices.keep("", content, number=number)
    except BadAudio:
        st.session_state["recording_unreadable"] = True
    else:
        st.session_state["recording_unreadable"] = False
        st.session_state["recorded_voice"] = voice.key
        if voice.quality.usable:
            voices.choose_everywhere(voice.key)
    st.rerun()


def _show_recorded(voice: RecordedVoice) -> None:
    st.subheader(voices.name_of(voice))
    voices.show(voice, "recording")
    with st.container(horizontal=True):
        st.download_button(
            t("recording.download"),
            data=voice.content,
            file_name="voice.wav",
            mime="audio/wav",
            on_click="ignore",
            icon=":material/download:",
        )
    voices.manage(voice, "recording")
    if not voice.quality.usable:
        st.info(t("recording.again"), icon=":material/mic:")
        return
    _show_trial(voice)
    with st.expander(t("library.save"), icon=":material/bookmark_add:"):
        save_voice.show("recording", (voice.content,))


def _show_trial(voice: RecordedVoice) -> None:
    allowed = voices.consent(voice, "recording")
    language = choose_language("recording")
    _sample_text()
    text = st.text_input(
        t("recording.try_text"),
        value=st.session_state["recording_text"],
        key="recording_text",
        persist_state="session",
    )
    options.show_what_is_copied()
    if speak_button(t("recording.try"), "recording", voice.key, disabled=not allowed):
        spoken = ChosenVoice(recordings=(voice.content,))
        order = Order(text or "", language, spoken, options.manner())
        panel.begin("recording", order, stream=True)
        st.rerun()
    panel.show("recording")
    if allowed:
        st.success(t("recording.kept", name=voices.name_of(voice)), icon=":material/check_circle:")


def _sample_text() -> None:
    """Give the field a sentence in the language of the pages, unless the user has changed it."""
    key = "recording_text"
    if st.session_state.get(key, preset("fr", "test")) in (
        preset("fr", "test"),
        preset("en", "test"),
    ):
        st.session_state[key] = preset(tongue(), "test")

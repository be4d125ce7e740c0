"""Tab 3: a text of any length, read aloud by the service while one listens, or does something else."""

from typing import Final

import streamlit as st

from ui import shared
from ui.client.jobs import Reading
from ui.client.service import ChosenVoice, Order
from ui.errors import BadDocument, Refusal
from ui.presets import KINDS as PRESETS
from ui.presets import preset
from ui.text.documents import KINDS, read_document
from ui.text.estimate import seconds_of
from ui.text.markup import is_ssml
from ui.text.sentences import srt, vtt
from ui.translations import duration, t, tongue
from ui.widgets import preview, voices
from ui.widgets.languages import AUTO, choose_language
from ui.widgets.notices import show_left_out, show_refusal
from ui.widgets.parameters import chosen_parameters
from ui.widgets.player import play

_SHOWN_CHARACTERS: Final = 2_000  # of a document, as a sample


def show() -> None:
    """Show the tab."""
    st.write(t("reading.intro"))
    voice = voices.choose("reading")
    language = choose_language("reading", found=True)
    text = _text(language)
    if is_ssml(text):
        st.caption(t("markup.ssml"))
    st.caption(t("reading.count", count=len(text), duration=duration(seconds_of(text, language))))
    preview.show("reading", text, language)
    running = _reading()
    busy = running is not None and not running.ended
    if st.button(
        t("reading.go"),
        type="primary",
        disabled=not (voice and text.strip()) or busy,
        key="reading_go",
    ):
        _begin(text, language, voice)
    if running is not None:
        st.fragment(_show_reading, run_every=None if running.ended else 0.7)(running)


def _reading() -> Reading | None:
    return st.session_state.get("reading")


def _begin(text: str, language: str, voice: ChosenVoice | None) -> None:
    if voice is None:
        return
    order = Order(text, language, voice, chosen_parameters())
    try:
        st.session_state["reading"] = Reading(shared.service(), order)
    except Refusal as refusal:
        show_refusal(refusal)
        return
    st.rerun()


def _text(language: str) -> str:
    source = st.segmented_control(
        t("reading.source"),
        ["write", "file", "preset"],
        default="preset",
        required=True,
        format_func=lambda source: t(f"reading.source_{source}"),
        key="reading_source",
    )
    if source == "file":
        return _document()
    if source == "preset":
        language = tongue() if language == AUTO else language
        kind = st.radio(
            t("reading.preset"),
            PRESETS,
            format_func=lambda kind: t(f"reading.{kind}"),
            horizontal=True,
            key="reading_kind",
        )
        st.text(preset(language, kind))
        return preset(language, kind)
    return st.text_area(t("reading.text"), height=220, key="reading_text")


def _document() -> str:
    file = st.file_uploader(t("reading.file"), type=list(KINDS), key="reading_file")
    if file is None:
        return ""
    try:
        with st.spinner(t("reading.opening")):
            text = _read(file.name, file.getvalue())
    except BadDocument as refusal:
        show_refusal(refusal)
        return ""
    with st.expander(t("reading.beginning")):
        st.text(text[:_SHOWN_CHARACTERS])
    return text


@st.cache_data(max_entries=8, show_spinner=False)
def _read(name: str, content: bytes) -> str:
    return read_document(name, content)


def _show_reading(reading: Reading) -> None:
    """Show how far it is and the player, again and again until it has ended."""
    if reading.ended != st.session_state.get("reading_ended"):
        st.session_state["reading_ended"] = reading.ended
        st.rerun()
    if not reading.ended:
        _show_progress(reading)
    if reading.failure is not None:
        show_refusal(reading.failure)
        return
    if reading.alignment.ends_s:
        play(
            f"/reading/{reading.id}.wav",
            key="reading_player",
            live=not reading.whole,
            whole=reading.whole,
            marks=f"/marks/{reading.id}",
        )
    show_left_out(reading.order.text, reading.alignment.left_out)
    if reading.whole:
        _show_downloads(reading)


def _show_progress(reading: Reading) -> None:
    spoken, sentences = reading.progress
    left = (
        t("reading.left", duration=duration(reading.left_s)) if reading.left_s is not None else ""
    )
    text = t("reading.progress", spoken=spoken, sentences=sentences or "?") + left
    st.progress(min(spoken / sentences, 1.0) if sentences else 0.0, text=text)
    if st.button(t("work.cancel"), key="reading_cancel", icon=":material/cancel:"):
        try:
            reading.cancel()
        except Refusal as refusal:
            show_refusal(refusal)


def _show_downloads(reading: Reading) -> None:
    wav, mp3, subrip, webvtt = st.columns(4)
    icon = ":material/download:"
    wav.link_button("WAV", f"/reading/{reading.id}.wav?save", icon=icon, width="stretch")
    mp3.link_button("MP3", f"/reading/{reading.id}.mp3?save", icon=icon, width="stretch")
    cues = list(reading.alignment.cues())
    for column, kind, content in ((subrip, "srt", srt(cues)), (webvtt, "vtt", vtt(cues))):
        column.download_button(
            kind.upper(),
            content,
            f"reading.{kind}",
            on_click="ignore",
            icon=icon,
            key=f"reading_{kind}",
            width="stretch",
        )

"""Tab 1: a voice, a text, and its speech."""

from typing import Final

import streamlit as st

from ui import shared, voices
from ui.drawing import show_live_count
from ui.estimate import characters_per_second, seconds_of
from ui.languages import choose_language
from ui.notices import show_refusal
from ui.parameters import chosen_parameters
from ui.player import play
from ui.service import Order
from ui.speaking import Speaking
from ui.words import number, t, tongue

MOST_CHARACTERS: Final = 5_000  # longer texts have their own tab


def show() -> None:
    """Show the tab."""
    st.write(t("quick.intro"))
    voice = voices.choose("quick")
    language = choose_language("quick")
    text = st.text_area(t("quick.text"), value=t("quick.sample"), height=140, key="quick_text")
    show_live_count(
        t("quick.text"),
        text=t("quick.count", count="{count}", most=MOST_CHARACTERS, seconds="{seconds}"),
        most=MOST_CHARACTERS,
        characters_per_second=characters_per_second(language),
        point="," if tongue() == "fr" else ".",
        key="quick_count",
    )
    mode = st.radio(
        t("quick.mode"),
        ["stream", "whole"],
        format_func=lambda mode: t(f"quick.mode_{mode}"),
        captions=[t("quick.mode_stream_help"), t("quick.mode_whole_help")],
        horizontal=True,
        key="quick_mode",
    )
    running: Speaking | None = st.session_state.get("quick_speaking")
    if len(text) > MOST_CHARACTERS:
        st.error(t("quick.too_long", most=MOST_CHARACTERS), icon=":material/error:")
    ready = voice is not None and len(text.strip()) > 0 and len(text) <= MOST_CHARACTERS
    busy = running is not None and not running.ended
    if st.button(t("quick.generate"), type="primary", disabled=not ready or busy, key="quick_go") and voice:
        order = Order(text, language, (voice.content,), chosen_parameters())
        st.session_state["quick_speaking"] = Speaking(shared.service(), order, stream=mode == "stream")
        st.rerun()
    if running is not None:
        _show_speech(running)


def _show_speech(speaking: Speaking) -> None:
    if not speaking.ended:
        _follow(speaking)
    if speaking.failure is None and (speaking.stream or speaking.whole):
        play(f"/sound/{speaking.id}", key="quick_player", live=speaking.stream, whole=speaking.whole)
    if speaking.failure is not None:
        show_refusal(speaking.failure)
    elif speaking.whole:
        _show_result(speaking)


@st.fragment(run_every=0.3)
def _follow(speaking: Speaking) -> None:
    """Show how far it is; run the whole page again once it has ended."""
    if speaking.ended:
        st.rerun()
    expected = seconds_of(speaking.order.text, speaking.order.language)
    done = min(speaking.seconds / expected, 0.99) if expected else 0.0
    st.progress(done, text=_status(speaking))
    if st.button(t("work.cancel"), key="quick_cancel", icon=":material/cancel:"):
        speaking.cancel()


def _status(speaking: Speaking) -> str:
    if speaking.cancelled.is_set():
        return t("work.cancelling")
    if speaking.first_after_s is None:
        return t("work.waiting", seconds=number(speaking.took_s))
    return t("work.sounding", seconds=number(speaking.seconds), first=number(speaking.first_after_s, 2))


def _show_result(speaking: Speaking) -> None:
    first, total, sound = st.columns(3)
    first.metric(t("work.first_sound"), f"{number(speaking.first_after_s or 0.0, 2)} s")
    total.metric(t("work.total"), f"{number(speaking.took_s)} s")
    sound.metric(t("work.length"), f"{number(speaking.seconds)} s")
    if speaking.heard and speaking.heard.warning:
        st.warning(t("work.warning", warning=speaking.heard.warning), icon=":material/warning:")
    st.download_button(
        t("work.download_wav"),
        data=speaking.wav,
        file_name="speech.wav",
        mime="audio/wav",
        on_click="ignore",
        icon=":material/download:",
        key="quick_download",
    )

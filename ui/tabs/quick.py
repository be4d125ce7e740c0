"""Tab 1: a voice, a text, and its speech."""

from typing import Final

import streamlit as st

from ui.client.order import Order
from ui.text.estimate import characters_per_second
from ui.text.markup import is_ssml
from ui.translations import sample, t, tongue
from ui.widgets import dialogue, history, options, panel, preview, voices
from ui.widgets.choice import pick
from ui.widgets.drawing import show_live_count
from ui.widgets.languages import choose_language, chosen_language
from ui.widgets.speak import columns, speak_button
from ui.widgets.storing import choose as choose_storing
from ui.widgets.storing import label, storing

MOST_CHARACTERS: Final = 5_000  # longer texts have their own tab
_MODES: Final = ("stream", "whole")
_TEXT: Final = "quick_text"


def show() -> None:
    """Show the tab."""
    history.take_again()
    main, side = columns()
    with main:
        _show_speech()
    with side:
        voices.card("quick")
        options.show_what_is_copied()
        _show_options()


def _show_speech() -> None:
    chosen, spoken = st.columns(2)
    with chosen:
        key = voices.select("quick")
    with spoken:
        language = choose_language("quick", found=True)
    text = _text(language)
    if is_ssml(text):
        st.caption(t("markup.ssml"))
    speakers = dialogue.show("quick", text, language)
    voice = voices.allowed("quick", key)
    too_long = len(text) > MOST_CHARACTERS
    if too_long:
        st.error(t("quick.too_long", most=MOST_CHARACTERS), icon=":material/error:")
    if (
        speak_button(t("quick.generate"), "quick", key, disabled=voice is None or too_long)
        and voice
    ):
        stream = st.session_state.get("quick_mode", _MODES[0]) == "stream"
        panel.begin(
            "quick",
            Order(text, language, voice, options.manner(), voices=speakers),
            stream=stream,
            label=label() if storing() else "",
        )
        st.rerun()
    panel.show("quick")
    preview.show("quick", text, language, speakers)
    history.show(panel.speech("quick"))


def _show_options() -> None:
    pick(
        st.radio,
        t("quick.mode"),
        {mode: t(f"quick.mode_{mode}") for mode in _MODES},
        remembered="quick_mode",
        first=_MODES[0],
        captions=[t(f"quick.mode_{mode}_help") for mode in _MODES],
        horizontal=True,
    )
    choose_storing()
    options.show("quick")


def _text(language: str) -> str:
    sample(_TEXT, "quick.sample")
    text = st.text_area(
        t("quick.text"),
        value=st.session_state[_TEXT],
        height=140,
        key=_TEXT,
        persist_state="session",
    )
    show_live_count(
        t("quick.text"),
        text=t("quick.count", count="{count}", most=MOST_CHARACTERS, duration="{duration}"),
        most=MOST_CHARACTERS,
        characters_per_second=characters_per_second(language),
        point="," if tongue() == "fr" else ".",
        key="quick_count",
    )
    return text or ""


def text_and_language() -> tuple[str, str]:
    """Return what this tab would speak, for examples."""
    return st.session_state.get(_TEXT, ""), chosen_language("quick")

"""Tab 1: a voice, a text, and its speech."""

from typing import Final

import streamlit as st

from ui.client.service import Order
from ui.text.estimate import characters_per_second
from ui.text.markup import is_ssml
from ui.translations import t, tongue
from ui.widgets import panel, preview, voices
from ui.widgets.drawing import show_live_count
from ui.widgets.languages import choose_language
from ui.widgets.parameters import chosen_parameters

MOST_CHARACTERS: Final = 5_000  # longer texts have their own tab


def show() -> None:
    """Show the tab."""
    st.write(t("quick.intro"))
    voice = voices.choose("quick")
    language = choose_language("quick", found=True)
    text = _text(language)
    if is_ssml(text):
        st.caption(t("markup.ssml"))
    preview.show("quick", text, language)
    mode = st.radio(
        t("quick.mode"),
        ["stream", "whole"],
        format_func=lambda mode: t(f"quick.mode_{mode}"),
        captions=[t("quick.mode_stream_help"), t("quick.mode_whole_help")],
        horizontal=True,
        key="quick_mode",
    )
    if len(text) > MOST_CHARACTERS:
        st.error(t("quick.too_long", most=MOST_CHARACTERS), icon=":material/error:")
    ready = voice is not None and len(text) <= MOST_CHARACTERS and not panel.busy("quick")
    if st.button(t("quick.generate"), type="primary", disabled=not ready, key="quick_go") and voice:
        order = Order(text, language, voice, chosen_parameters())
        panel.begin("quick", order, stream=mode == "stream")
        st.rerun()
    panel.show("quick")


def _text(language: str) -> str:
    text = st.text_area(t("quick.text"), value=t("quick.sample"), height=140, key="quick_text")
    show_live_count(
        t("quick.text"),
        text=t("quick.count", count="{count}", most=MOST_CHARACTERS, seconds="{seconds}"),
        most=MOST_CHARACTERS,
        characters_per_second=characters_per_second(language),
        point="," if tongue() == "fr" else ".",
        key="quick_count",
    )
    return text

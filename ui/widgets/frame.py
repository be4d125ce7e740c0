"""Language and style of the whole page, and messages for screen readers."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from ui.translations import tongue, words
from ui.widgets.storing import label, storing

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_FOLDER: Final = Path(__file__).with_name("components")
_ANNOUNCED: Final = "announced"


@cache
def _component() -> "ComponentRenderer":
    return st.components.v2.component(
        "page_frame", js=(_FOLDER / "frame.js").read_text(encoding="utf-8")
    )


@cache
def _style() -> str:
    return (_FOLDER / "page.css").read_text(encoding="utf-8")


def show() -> None:
    """Set the page's style, and tell the browser the language and what Streamlit's own texts are in it."""
    st.html(f"<style>{_style()}</style>")
    _component()(
        key="page_frame",
        data={
            "language": tongue(),
            "texts": _texts(tongue()),
            "announced": st.session_state.get(_ANNOUNCED, ""),
            "label": label() if storing() else "",
        },
        height=1,
    )


def announce(text: str) -> None:
    """Have a screen reader say this once the page is shown, without a move of the focus."""
    st.session_state[_ANNOUNCED] = text


@cache
def _texts(tongue: str) -> list[tuple[str, str]]:
    """Return Streamlit's texts as regular expressions, with their translations; none in English."""
    if tongue == "en":
        return []
    return [
        (words("en")[name], text)
        for name, text in words(tongue).items()
        if name.startswith("streamlit.")
    ]

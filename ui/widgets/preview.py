"""A text as it will be spoken, shown below the box that it is written in; the service is asked only on demand."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from ui import shared
from ui.client.responses import Normalized
from ui.errors import Refusal
from ui.text.markup import is_ssml
from ui.translations import t
from ui.widgets import options
from ui.widgets.notices import show_left_out, show_refusal

# of a long text its beginning; SSML is shown whole, as half a document is none
_MOST_CHARACTERS: Final = 5_000


def show(tab: str, text: str, language: str, voices: Mapping[str, str]) -> None:
    """Show the switch, and once it is on the sentences of this text. `voices`: of a dialogue."""
    if not st.toggle(t("spoken.show"), key=f"{tab}_spoken") or not text.strip():
        return
    beginning = text if is_ssml(text) else text[:_MOST_CHARACTERS]
    try:
        normalized = _normalized(beginning, language, options.manner().pronunciations, voices)
    except Refusal as refusal:
        show_refusal(refusal)
        return
    with st.container(border=True, key=f"{tab}_spoken_text"):
        st.text("\n".join(normalized.sentences))
    if len(beginning) < len(text):
        st.caption(t("spoken.beginning", count=len(beginning)))
    show_left_out(beginning, normalized.left_out)


@st.cache_data(max_entries=8, ttl=60, show_spinner=False, scope="session")
def _normalized(
    text: str, language: str, pronunciations: Mapping[str, str], voices: Mapping[str, str]
) -> Normalized:
    return shared.service().normalized(text, language, pronunciations, voices)

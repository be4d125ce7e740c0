"""Refusals as a user reads them: what happened, and what to do."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from ui.errors import Refusal
from ui.translations import t, tongue, words

_SHOWN_SPANS: Final = 3
_SHOWN_CHARACTERS: Final = 40
# The page's own sentence is complete.
_COMPLETE: Final = ("unreachable", "cut_stream", "unreadable_audio", "cancelled")


def show_refusal(refusal: Refusal) -> None:
    """Show what happened, in the user's language; the service's own words, which are English, on request."""
    if refusal.code == "cancelled":
        st.info(t("refusal.cancelled"), icon=":material/cancel:")
        return
    st.error(refusal_text(refusal), icon=":material/error:")
    if str(refusal) and refusal.code not in _COMPLETE:
        with st.expander(t("refusal.detail")):
            st.text(str(refusal))


def show_left_out(text: str, spans: Sequence[tuple[int, int]]) -> None:
    """Warn of letters that are not spoken, and list the first ones."""
    if spans:
        words = [text[start:end][:_SHOWN_CHARACTERS] for start, end in spans[:_SHOWN_SPANS]]
        more = " …" if len(spans) > _SHOWN_SPANS else ""
        st.warning(t("spoken.left_out", words=" · ".join(words) + more), icon=":material/warning:")


def refusal_text(refusal: Refusal) -> str:
    """Return the sentence for the user."""
    name = f"refusal.{refusal.code}"
    text = t(name if name in words(tongue()) else "refusal.other")
    if refusal.retry_after_s is not None:
        text += " " + t("refusal.wait", seconds=refusal.retry_after_s)
    return text


def warning_text(warning: str) -> str:
    """Return the service's warnings about a recording in the user's language."""
    known = [name for name in ("short", "noisy", "clipped", "speakers") if name in warning]
    return " ".join(t(f"warning.{name}") for name in known) or warning

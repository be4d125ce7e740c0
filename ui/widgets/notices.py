"""Refusals as a user reads them: what happened, and what to do."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from ui.errors import Refusal
from ui.translations import t, tongue, words

_SHOWN_SPANS: Final = 3
_SHOWN_CHARACTERS: Final = 40


def show_refusal(refusal: Refusal) -> None:
    """Show what happened, in the user's language; the service's own words below it."""
    if refusal.code == "cancelled":
        st.info(t("refusal.cancelled"), icon=":material/cancel:")
        return
    st.error(refusal_text(refusal), icon=":material/error:")
    if str(refusal) and refusal.code not in ("unreachable", "cut_stream", "unreadable_audio"):
        st.caption(t("refusal.detail", detail=str(refusal), code=refusal.code))


def show_left_out(text: str, spans: Sequence[tuple[int, int]]) -> None:
    """Warn of letters that are not spoken, and list the first ones."""
    if spans:
        words = [text[start:end][:_SHOWN_CHARACTERS] for start, end in spans[:_SHOWN_SPANS]]
        more = " …" if len(spans) > _SHOWN_SPANS else ""
        st.warning(t("spoken.left_out", words=" · ".join(words) + more), icon=":material/warning:")


def refusal_text(refusal: Refusal) -> str:
    """Return the sentence for the user."""
    name = f"refusal.{refusal.code}"
    text = t(name if name in words(tongue()) else "refusal.other", detail=str(refusal))
    if refusal.retry_after_s is not None:
        text += " " + t("refusal.wait", seconds=refusal.retry_after_s)
    return text

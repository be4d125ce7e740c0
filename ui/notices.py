"""Refusals as a user reads them: what happened, and what to do."""

import streamlit as st

from ui.refusals import Refusal
from ui.words import t, tongue, words


def show_refusal(refusal: Refusal) -> None:
    """Show what happened, in the user's language; the service's own words below it."""
    if refusal.code == "cancelled":
        st.info(t("refusal.cancelled"), icon=":material/cancel:")
        return
    st.error(refusal_text(refusal), icon=":material/error:")
    if str(refusal) and refusal.code not in ("unreachable", "cut_stream", "unreadable_audio"):
        st.caption(t("refusal.detail", detail=str(refusal), code=refusal.code))


def refusal_text(refusal: Refusal) -> str:
    """Return the sentence for the user."""
    name = f"refusal.{refusal.code}"
    text = t(name if name in words(tongue()) else "refusal.other", detail=str(refusal))
    if refusal.retry_after_s is not None:
        text += " " + t("refusal.wait", seconds=refusal.retry_after_s)
    return text

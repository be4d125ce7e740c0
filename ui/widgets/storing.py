"""The switch that has the service store results, and the label by which this browser finds its own again."""

import re
import secrets
from typing import Final

import streamlit as st

from ui.translations import t

_COOKIE: Final = "results"  # set by frame.js
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_IN_ADDRESS: Final = "store"  # the query parameter, `no` if results are not stored
_SHOWN: Final = "store_results_shown"


def label() -> str:
    """Return the label of this browser's results: that of its cookie, or a new random one."""
    known: str | None = st.session_state.get("results_label")
    if known is None:
        known = valid_label(st.context.cookies.get(_COOKIE)) or secrets.token_urlsafe(16)
        st.session_state["results_label"] = known
    return known


def valid_label(cookie: str | None) -> str:
    """Return the label in a cookie; empty if there is none, or if it is too short to be unguessable."""
    return cookie if cookie and _LABEL.fullmatch(cookie) else ""


def storing() -> bool:
    """Return whether results are stored, which the address can switch off."""
    stored: bool = st.session_state.get("store_results", st.query_params.get(_IN_ADDRESS) != "no")
    return stored


def choose() -> None:
    """Show the switch, and how long results stay."""
    if _SHOWN not in st.session_state:
        st.session_state[_SHOWN] = storing()
    st.toggle(
        t("history.store"),
        value=st.session_state[_SHOWN],
        on_change=_note,
        key=_SHOWN,
        help=t("history.store_help"),
    )


def _note() -> None:
    stored = st.session_state[_SHOWN]
    st.session_state["store_results"] = stored
    if stored:
        st.query_params.pop(_IN_ADDRESS, None)
    else:
        st.query_params[_IN_ADDRESS] = "no"

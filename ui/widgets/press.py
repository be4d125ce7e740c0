"""Buttons whose click is never lost.

Streamlit returns a click from `st.button` in the next run of the script only. Another event, such as a field that loses
the focus to the button, can replace that run before it reaches the button. So the click is noted in a callback, which
runs first of all, and counts until a run reaches the button.
"""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

_NOTED: Final = "pressed"  # keys of the buttons


def button(label: str, *, key: str, **how: Any) -> bool:
    """Show a button; return whether it was clicked since the last run that reached it. `how`: for `st.button`."""
    st.button(label, key=key, on_click=_note(key), **how)
    return _taken(key)


def submit_button(label: str, *, key: str, **how: Any) -> bool:
    """Show the button of a form, like `button`."""
    st.form_submit_button(label, key=key, on_click=_note(key), **how)
    return _taken(key)


def forget() -> None:
    """Forget clicks of buttons that are no longer shown: at the end of a run of the whole page."""
    st.session_state.pop(_NOTED, None)


def _note(key: str) -> Callable[[], None]:
    def note() -> None:
        st.session_state.setdefault(_NOTED, set()).add(key)

    return note


def _taken(key: str) -> bool:
    noted: set[str] = st.session_state.get(_NOTED, set())
    was_clicked = key in noted
    noted.discard(key)
    return was_clicked

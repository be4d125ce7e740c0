"""The layout of a tab with a text, and the button that speaks it."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.translations import t
from ui.widgets import press
from ui.widgets.voices import shown_as


def columns() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return the column of the text with its button, and that of the voice and the options.

    On a phone, the second is below the first.
    """
    main, side = st.columns([3, 2], gap="large")
    return main, side


def speak_button(label: str, tab: str, voice: str | None, *, disabled: bool) -> bool:
    """Show the button and return whether it was pressed.

    It stays enabled while a speech runs: a disabled button loses the keyboard's focus. A press counts only for the
    voice that was shown with the button, even if the session is a new one by then.
    """
    pressed = press.button(
        label,
        type="primary",
        disabled=disabled,
        icon=":material/graphic_eq:",
        key=f"{tab}_go_{shown_as(voice)}",
    )
    if disabled:
        st.caption(t("speak.why_not"))
    return pressed

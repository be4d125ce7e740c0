"""Synthesis parameters: set next to the text and in the last tab, used in all."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui import shared
from ui.translations import t, tongue, words
from ui.widgets import press

Range = Mapping[str, Any]  # as in `GET /`: default, minimum, maximum, whole


def chosen_parameters() -> dict[str, float]:
    """Return the parameters that the user has set to something else than the engine's own, by name."""
    chosen: dict[str, float] = st.session_state.get("parameters", {})
    return dict(chosen)


def taken() -> dict[str, Range]:
    """Return the parameters that the engine takes and a slider can show, by name."""
    about = shared.ABOUT.get()
    return with_sliders(about.get("parameters", {})) if isinstance(about, dict) else {}


def show_sliders(tab: str) -> None:
    """Show a slider for each parameter that the engine takes."""
    takes = taken()
    if not takes:
        st.caption(t("parameter.none"))
        return
    if press.button(t("parameter.reset"), icon=":material/restart_alt:", key="parameter_reset"):
        st.session_state["parameters"] = {}
        for name in takes:
            st.session_state.pop(_key(tab, name), None)
    for name, each in takes.items():
        slider(tab, name, each)


def with_sliders(takes: Mapping[str, Range]) -> dict[str, Range]:
    """Return the parameters that a slider can show; one whose default is outside its range is switched off."""
    return {
        name: each
        for name, each in takes.items()
        if each["minimum"] <= each["default"] <= each["maximum"]
    }


def label(name: str) -> str:
    """Return the name of a parameter for users; its own where it has none."""
    known = f"parameter.{name}_label"
    return t(known) if known in words(tongue()) else name


def slider(tab: str, name: str, each: Range) -> None:
    """Show a slider for a parameter, and note what is set."""
    kind = int if each["whole"] else float
    key = _key(tab, name)
    chosen: dict[str, float] = st.session_state.setdefault("parameters", {})
    if key not in st.session_state:
        st.session_state[key] = kind(chosen[name] if name in chosen else each["default"])

    def note() -> None:
        value = st.session_state[key]
        now = st.session_state.setdefault("parameters", {})
        now.pop(name, None)
        if value != kind(each["default"]):
            now[name] = value

    explained = f"parameter.{name}"
    st.slider(
        label(name),
        kind(each["minimum"]),
        kind(each["maximum"]),
        value=st.session_state[key],
        step=kind(1 if each["whole"] else 0.05),
        help=t(explained) if explained in words(tongue()) else None,
        on_change=note,
        key=key,
    )


def _key(tab: str, name: str) -> str:
    return f"{tab}_parameter_{name}"

"""Synthesis parameters: set in the fifth tab, used in all."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui.translations import t, tongue, words


def chosen_parameters() -> dict[str, float]:
    """Return the parameters that the user has set to something else than the engine's own, by name."""
    chosen: dict[str, float] = st.session_state.get("parameters", {})
    return dict(chosen)


def show_sliders(takes: Mapping[str, Mapping[str, Any]]) -> None:
    """Show a slider for each parameter that the engine takes (as in `GET /`), and note what is set."""
    if not takes:
        st.caption(t("parameter.none"))
        return
    takes = with_sliders(takes)
    defaults = {name: _kind(each)(each["default"]) for name, each in takes.items()}
    for name, default in defaults.items():
        st.session_state.setdefault(f"parameter_{name}", default)
    if st.button(t("parameter.reset"), icon=":material/restart_alt:", key="parameter_reset"):
        st.session_state.update(
            {f"parameter_{name}": default for name, default in defaults.items()}
        )
    values = {name: _slider(name, each) for name, each in takes.items()}
    st.session_state["parameters"] = {
        name: value for name, value in values.items() if value != defaults[name]
    }


def with_sliders(takes: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the parameters that a slider can show; one whose default is outside its range is switched off."""
    return {
        name: each
        for name, each in takes.items()
        if each["minimum"] <= each["default"] <= each["maximum"]
    }


def _kind(each: Mapping[str, Any]) -> type[int] | type[float]:
    return int if each["whole"] else float


def _slider(name: str, each: Mapping[str, Any]) -> float:
    kind = _kind(each)
    explained = f"parameter.{name}"
    return st.slider(
        f"`{name}`",
        kind(each["minimum"]),
        kind(each["maximum"]),
        step=kind(1 if each["whole"] else 0.05),
        key=f"parameter_{name}",
        help=t(explained) if explained in words(tongue()) else None,
    )

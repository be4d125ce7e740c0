"""How to speak: what was chosen in the fifth tab, for all tabs."""

import streamlit as st


def chosen_parameters() -> dict[str, float]:
    """Return the parameters that the user has set, by name."""
    chosen: dict[str, float] = st.session_state.get("parameters", {})
    return dict(chosen)

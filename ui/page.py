"""The page: run again by Streamlit at every click. What must outlive a run is in the session or has its own thread."""

import streamlit as st

from ui import shared
from ui.errors import Refusal
from ui.tabs import library, many, quick, reading, recording, service
from ui.translations import TONGUES, t, tongue
from ui.widgets.drawing import tell_language

st.set_page_config(page_title="Voix", page_icon="🎙️", layout="centered")


def _head() -> None:
    title, switch = st.columns([3, 1], vertical_alignment="bottom")
    with switch:
        st.segmented_control(
            "Langue / Language",
            TONGUES,
            format_func=str.upper,
            default=st.session_state.get("tongue") or TONGUES[0],
            key="tongue",
            required=True,
            label_visibility="collapsed",
        )
    title.title(t("page.title"))


def _say_whether_ready() -> None:
    try:
        why_not = shared.service().readiness()
    except Refusal:
        st.error(
            t("refusal.unreachable", detail=shared.settings().service_url),
            icon=":material/cloud_off:",
        )
        return
    if why_not:
        st.warning(t("page.not_ready", detail=why_not), icon=":material/hourglass_top:")


_head()
tell_language(tongue())
_say_whether_ready()
_TABS = {
    "quick": quick,
    "recording": recording,
    "library": library,
    "reading": reading,
    "many": many,
    "service": service,
}
for tab, module in zip(st.tabs([t(f"tab.{name}") for name in _TABS]), _TABS.values(), strict=True):
    with tab:
        module.show()

"""The page: run again by Streamlit at every click. What must outlive a run is in the session or has its own thread."""

from typing import Final

import streamlit as st

from ui import shared
from ui.errors import Refusal
from ui.tabs import library, many, quick, reading, recording, service
from ui.translations import TONGUES, read_in, t, tongue
from ui.widgets import frame, press

_TABS: Final = {
    "quick": quick,
    "recording": recording,
    "library": library,
    "reading": reading,
    "many": many,
    "service": service,
}
_STATUS_S: Final = 5.0


def _head() -> None:
    title, switch = st.columns([3, 1], vertical_alignment="center")
    title.title(t("page.title"), anchor=False)
    with switch:
        if "tongue_shown" not in st.session_state:
            st.session_state["tongue_shown"] = tongue()
        st.segmented_control(
            "Langue / Language",
            TONGUES,
            format_func=str.upper,
            required=True,
            label_visibility="collapsed",
            on_change=lambda: read_in(st.session_state["tongue_shown"]),
            key="tongue_shown",
        )


@st.fragment(run_every=_STATUS_S)
def _say_whether_ready() -> None:
    """Show whether the service is ready, as of its last response: the page does not wait for a new one."""
    why_not = shared.READINESS.get()
    if why_not is None or isinstance(why_not, Refusal):
        st.error(t("refusal.unreachable"), icon=":material/cloud_off:")
    elif why_not:
        st.warning(t("page.not_ready"), icon=":material/hourglass_top:")


def _show_open_tab() -> None:
    """Show the tabs. Only the open one runs; the others are run when they are opened."""
    names = list(_TABS)
    labels = [t(f"tab.{name}") for name in names]
    key = f"tabs_{tongue()}"
    if key not in st.session_state:  # at the beginning, and in another language
        st.session_state[key] = labels[names.index(_open_tab())]

    def note() -> None:
        st.session_state["open_tab"] = names[labels.index(st.session_state[key])]

    for name, tab in zip(names, st.tabs(labels, key=key, on_change=note), strict=True):
        if tab.open:
            with tab:
                _TABS[name].show()


def _open_tab() -> str:
    """Return the name of the open tab; at the beginning the one whose readings the address names, if there are any."""
    first = "reading" if "reading" in st.query_params else "quick"
    name: str = st.session_state.setdefault("open_tab", first)
    return name


st.set_page_config(page_title=t("page.title"), page_icon="🎙️", layout="wide")
_head()
_say_whether_ready()
_show_open_tab()
frame.show()
press.forget()

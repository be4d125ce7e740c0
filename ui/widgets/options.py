"""Speed, seed and pronunciations: shown next to the text, remembered for all tabs."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import streamlit as st

from ui import shared
from ui.client.order import Manner
from ui.errors import Refusal
from ui.text.pronunciations import parse_pronunciations
from ui.translations import t
from ui.widgets.parameters import chosen_parameters, slider, taken

_BESIDE_THE_TEXT: Final = "speed"
_MOST_SEED: Final = 2**63 - 1


def show(tab: str) -> None:
    """Show the options."""
    takes = taken()
    if _BESIDE_THE_TEXT in takes:
        slider(tab, _BESIDE_THE_TEXT, takes[_BESIDE_THE_TEXT])
    with st.expander(t("options.more"), icon=":material/tune:"):
        _show_seed(tab)
        _show_pronunciations(tab)
        st.caption(t("options.advanced"))


def _shared_by_tabs(tab: str, name: str) -> tuple[str, Callable[[], None]]:
    """Return the key of a tab's field that begins with the latest text of any tab, and what notes a change of it."""
    key = f"{tab}_{name}"
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(name, "")

    def note() -> None:
        st.session_state[name] = st.session_state[key]

    return key, note


def _show_seed(tab: str) -> None:
    key, note = _shared_by_tabs(tab, "seed")
    written = st.text_input(
        t("options.seed"),
        value=st.session_state[key],
        max_chars=19,
        placeholder=t("options.random"),
        help=t("options.seed_help"),
        on_change=note,
        key=key,
    )
    if written and parse_seed(written) is None:
        st.warning(t("options.seed_wrong"), icon=":material/warning:")


def _show_pronunciations(tab: str) -> None:
    key, note = _shared_by_tabs(tab, "pronunciations")
    written = st.text_area(
        t("options.pronunciations"),
        value=st.session_state[key],
        height=96,
        placeholder="SQL = sequel",
        help=t("options.pronunciations_help"),
        on_change=note,
        key=key,
    )
    wrong = parse_pronunciations(written)[1]
    if wrong:
        st.warning(
            t("options.pronunciations_wrong", lines=" · ".join(wrong)), icon=":material/warning:"
        )


def manner() -> Manner:
    """Return how to speak, as it is chosen."""
    written = st.session_state.get("pronunciations", "")
    return Manner(
        parameters=chosen_parameters(),
        seed=parse_seed(st.session_state.get("seed", "")),
        pronunciations=parse_pronunciations(written)[0],
    )


def parse_seed(written: str) -> int | None:
    """Return the seed that a user has written; None: it is no seed, or empty for a random one."""
    digits = written.strip()
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if int(digits) <= _MOST_SEED else None


def show_what_is_copied() -> None:
    """Show what of a recording the engine copies."""
    about = shared.ABOUT.get()
    engine = about.get("engine", "") if not isinstance(about, Refusal | None) else ""
    known: Mapping[str, Any] = {"embedded": "copies.embedded", "xtts": "copies.xtts"}
    st.caption(t(known.get(engine, "copies.other")))

"""Choices whose entries and labels can change at any time, and that are remembered while they are not shown.

A widget whose value is set in the session state gets the same value as its default in each run, here and in the whole
interface. Streamlit sends a value of the session state once. A browser that loads the widget's code after a further run
takes the default instead, and reports it as a choice of the user: the slowest speed, an empty text.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import streamlit as st

_KEY_DIGITS: Final = 12


def pick(
    widget: Callable[..., Any],
    title: str,
    labels: Mapping[str, str],
    *,
    remembered: str,
    first: str,
    **how: Any,
) -> str:
    """Show labels by id in a widget of Streamlit, and return the id of the chosen one.

    Streamlit forgets a widget that is not shown, and finds an option by its label. So the choice is in the session
    state under `remembered`, and other labels, as of another language, are a new widget. `how`: for the widget.
    """
    chosen = st.session_state.get(remembered, first)
    key = f"{remembered}_{first}_{_digest(labels)}"
    if key not in st.session_state:
        st.session_state[key] = chosen if chosen in labels else first

    def note() -> None:
        st.session_state[remembered] = st.session_state[key]

    ids = list(labels)
    shown: str = st.session_state[key]
    default = (
        {"default": shown}
        if widget == st.segmented_control
        else {"index": ids.index(shown) if shown in ids else 0}
    )
    picked: str = widget(
        title,
        ids,
        format_func=lambda each: labels[each],
        on_change=note,
        key=key,
        **default,
        **how,
    )
    return picked


def choose_one(
    title: str,
    labels: Mapping[str, str],
    *,
    remembered: str,
    first: str | None,
    placeholder: str,
    noted: Callable[[str | None], None] | None = None,
) -> str | None:
    """Show a list of labels by id, and return the id of the entry that is shown.

    Streamlit finds an entry by its label, and shows a stale one when the list has changed. So labels are made unique,
    and a changed list is a new element, which begins with the choice that the session state has under `remembered`
    (before any choice: `first`). If that entry has disappeared, nothing is chosen: the result is None.
    `noted` gets each new choice.
    """
    shown = unique_labels(labels)
    ids = list(shown)
    chosen = st.session_state.get(remembered, first)
    key = f"{remembered}_{first}_{_digest(shown)}"

    def note() -> None:
        st.session_state[remembered] = st.session_state[key]
        if noted is not None:
            noted(st.session_state[key])

    return st.selectbox(
        title,
        ids,
        index=_index(ids, chosen),
        format_func=lambda each: shown.get(each, each),
        placeholder=placeholder,
        on_change=note,
        key=key,
    )


def unique_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels, with a number after those that occurred before."""
    unique: dict[str, str] = {}
    taken: set[str] = set()
    for each, label in labels.items():
        number = 2
        candidate = label
        while candidate in taken:
            candidate = f"{label} ({number})"
            number += 1
        unique[each] = candidate
        taken.add(candidate)
    return unique


def _index(ids: list[str], chosen: str | None) -> int | None:
    if chosen is None:
        return 0
    return ids.index(chosen) if chosen in ids else None


def _digest(labels: Mapping[str, str]) -> str:
    listed = "\n".join(f"{each}\t{label}" for each, label in labels.items())
    return sha256(listed.encode()).hexdigest()[:_KEY_DIGITS]

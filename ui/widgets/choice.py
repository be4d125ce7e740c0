"""A list to choose from whose entries and labels can change at any time."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import streamlit as st

_KEY_DIGITS: Final = 12


def choose_one(
    title: str, labels: Mapping[str, str], *, remembered: str, first: str | None, placeholder: str
) -> str | None:
    """Show a list of labels by id, and return the id of the entry that is shown.

    Streamlit finds an entry by its label, and shows a stale one when the list has changed. So labels are made unique,
    and a changed list is a new element, which begins with the choice that the session state has under `remembered`
    (before any choice: `first`). If that entry has disappeared, nothing is chosen: the result is None.
    """
    shown = unique_labels(labels)
    ids = list(shown)
    chosen = st.session_state.get(remembered, first)
    key = f"{remembered}_{first}_{_digest(shown)}"

    def note() -> None:
        st.session_state[remembered] = st.session_state[key]

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

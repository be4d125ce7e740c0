"""The interface's own words, in two languages."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import streamlit as st

FOLDER: Final = Path(__file__).with_name("texts")
TONGUES: Final = ("fr", "en")


@cache
def words(tongue: str) -> Mapping[str, str]:
    """Return all texts in a language, by `section.name`."""
    sections = tomllib.loads((FOLDER / f"{tongue}.toml").read_text(encoding="utf-8"))
    return {
        f"{section}.{name}": text
        for section, texts in sections.items()
        for name, text in texts.items()
    }


def tongue() -> str:
    """Return the language that this session reads: chosen, from `?lang=`, or the browser's."""
    chosen: str | None = st.session_state.get("tongue")
    if chosen is None:
        chosen = first_tongue(st.query_params.get("lang", ""), st.context.locale)
        st.session_state["tongue"] = chosen
    return chosen


def first_tongue(asked: str, locale: str | None) -> str:
    """Return the language to begin with: that of the address, or the browser's (BCP 47), or English for others."""
    for tag in (asked, locale or TONGUES[0]):
        language = tag.replace("_", "-").partition("-")[0].lower()
        if language in TONGUES:
            return language
    return TONGUES[-1]


def read_in(tongue: str) -> None:
    """Show the pages in this language from now on, and after a reload."""
    st.session_state["tongue"] = tongue
    st.query_params["lang"] = tongue


def sample(key: str, name: str) -> None:
    """Give a text field a sample in the session's language, unless the user has changed it."""
    samples = [words(each)[name] for each in TONGUES]
    if st.session_state.get(key, samples[0]) in samples:
        st.session_state[key] = t(name)


def t(name: str, /, **values: object) -> str:
    """Return a text in the session's language, with its values put in."""
    return words(tongue())[name].format(**values)


def number(value: float, digits: int = 1) -> str:
    """Return a number as the session's language writes it."""
    written = f"{value:.{digits}f}"
    return written.replace(".", ",") if tongue() == "fr" else written


def duration(seconds: float) -> str:
    """Format a duration: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"

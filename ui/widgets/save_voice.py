"""The form that stores recordings as a voice of the library, with the speaker's consent."""

import re
from datetime import date
from typing import Final

import streamlit as st

from ui import shared
from ui.client.library import METHODS, NewVoice
from ui.errors import Refusal
from ui.translations import t, tongue
from ui.widgets import library, voices
from ui.widgets.languages import languages
from ui.widgets.notices import show_refusal

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/:@]{1,64}")
_UNKNOWN: Final = ""  # language


def show(tab: str, recordings: tuple[bytes, ...]) -> None:
    """Show the form, and store the voice once it is complete."""
    _show_saved(tab)
    with st.form(f"{tab}_save", border=False):
        new = _fields(tab, recordings)
        agreed = st.checkbox(t("consent.agreed", statement=new.statement), key=f"{tab}_agreed")
        submitted = st.form_submit_button(
            t("library.save_now"), type="primary", disabled=not recordings, key=f"{tab}_save_go"
        )

    if not submitted:
        return
    if (problem := _problem(new, agreed=agreed)) is not None:
        st.error(problem, icon=":material/error:")
        return
    _save(tab, new)


def _fields(tab: str, recordings: tuple[bytes, ...]) -> NewVoice:
    name = st.text_input(t("library.name"), max_chars=64, key=f"{tab}_save_name")
    known = languages() | {_UNKNOWN: t("library.any_language")}
    codes = list(known)
    language = st.selectbox(
        t("library.language"),
        codes,
        index=codes.index(tongue() if tongue() in codes else _UNKNOWN),
        format_func=lambda code: known[code],
        key=f"{tab}_save_language",
    )
    description = st.text_input(
        t("library.description"), max_chars=500, key=f"{tab}_save_description"
    )
    st.markdown(f"**{t('consent.title')}**")
    speaker = st.text_input(t("consent.speaker"), max_chars=200, key=f"{tab}_save_speaker")
    today = date.today()  # noqa: DTZ011  # of the place where the pages run
    given_on = st.date_input(
        t("consent.date"), today, max_value=today, format="YYYY-MM-DD", key=f"{tab}_save_date"
    )
    method = st.selectbox(
        t("consent.method"),
        METHODS,
        format_func=lambda method: t(f"consent.{method.replace(' ', '_')}"),
        key=f"{tab}_save_method",
    )
    return NewVoice(
        name=name.strip(),
        recordings=recordings,
        speaker=speaker.strip(),
        statement=t("consent.statement"),
        date=given_on.isoformat(),
        method=method,
        language=language,
        description=description.strip(),
    )


def _problem(new: NewVoice, *, agreed: bool) -> str | None:
    """Return what is missing, for the user."""
    if not is_name(new.name):
        return t("library.bad_name")
    if not new.speaker or not agreed:
        return t("refusal.consent_required")
    return None


def is_name(name: str) -> bool:
    """Return whether a voice can have this name."""
    return _NAME.fullmatch(name) is not None


def _save(tab: str, new: NewVoice) -> None:
    try:
        with st.spinner(t("library.saving")):
            saved = shared.service().create_voice(new)
    except Refusal as refusal:
        show_refusal(refusal)
        return

    library.refresh()
    voices.choose_everywhere(saved.id)
    st.session_state["library_shown"] = saved.id
    st.session_state[f"{tab}_saved"] = saved
    st.rerun()


def _show_saved(tab: str) -> None:
    """Show once that a voice was stored, and the warnings about its recordings."""
    saved = st.session_state.pop(f"{tab}_saved", None)
    if saved is None:
        return
    st.success(t("library.saved", name=saved.name), icon=":material/check_circle:")
    for warning in saved.warnings:
        st.warning(t("work.warning", warning=warning), icon=":material/warning:")

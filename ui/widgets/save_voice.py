"""The form that stores recordings as a voice of the library, with the speaker's consent."""

import re
from datetime import date
from typing import Final

import streamlit as st

from ui import shared
from ui.client.library import METHODS, ConsentForm, LibraryVoice, NewVoice
from ui.errors import Refusal
from ui.translations import t, tongue
from ui.widgets import library, press, voices
from ui.widgets.languages import languages
from ui.widgets.notices import show_refusal, warning_text

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/:@]{1,64}")
_UNKNOWN: Final = ""  # language


def show(tab: str, recordings: tuple[bytes, ...]) -> None:
    """Show the form, and store the voice once it is complete."""
    _show_saved(tab)
    with st.form(f"{tab}_save", border=False):
        new = _fields(tab, recordings)
        agreed = _show_agreed(tab, new.consent)
        submitted = press.submit_button(
            t("library.save_now"), type="primary", disabled=not recordings, key=f"{tab}_save_go"
        )

    if not submitted:
        return
    if not is_name(new.name):
        st.error(t("library.bad_name"), icon=":material/error:")
        return
    if not new.consent.speaker or not agreed:
        st.error(t("refusal.consent_required"), icon=":material/error:")
        return
    _save(tab, new)


def show_replacement(voice: LibraryVoice, recordings: tuple[bytes, ...]) -> bool:
    """Show the form that replaces the recordings of a voice; return whether they were replaced."""
    tab = f"replace_{voice.id}"
    with st.form(tab, border=False):
        consent = _consent_fields(tab)
        agreed = _show_agreed(tab, consent)
        submitted = press.submit_button(
            t("library.replace_now"), type="primary", disabled=not recordings, key=f"{tab}_go"
        )

    if not submitted:
        return False
    if not consent.speaker or not agreed:
        st.error(t("refusal.consent_required"), icon=":material/error:")
        return False
    try:
        with st.spinner(t("library.saving")):
            shared.service().replace_clips(voice.id, recordings, consent)
    except Refusal as refusal:
        show_refusal(refusal)
        return False
    return True


def _fields(tab: str, recordings: tuple[bytes, ...]) -> NewVoice:
    name = st.text_input(t("library.name"), max_chars=64, key=f"{tab}_save_name")
    known = dict(languages()) | {_UNKNOWN: t("library.any_language")}
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
    return NewVoice(
        name=name.strip(),
        recordings=recordings,
        consent=_consent_fields(tab),
        language=language,
        description=description.strip(),
    )


def _show_agreed(tab: str, consent: ConsentForm) -> bool:
    return st.checkbox(t("consent.agreed", statement=consent.statement), key=f"{tab}_agreed")


def _consent_fields(tab: str) -> ConsentForm:
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
    return ConsentForm(
        speaker=speaker.strip(),
        statement=t("consent.statement"),
        date=given_on.isoformat(),
        method=method,
    )


def is_name(name: str) -> bool:
    """Return whether a voice can have this name."""
    return _NAME.fullmatch(name) is not None


def _save(tab: str, new: NewVoice) -> None:
    try:
        with st.spinner(t("library.saving")):
            saved = shared.service().create_voice(new)
            # before anything is shown: the run may be replaced by the next one there
            st.session_state[f"{tab}_saved"] = saved
            st.session_state["library_shown"] = saved.id
            library.refresh()
            voices.choose_everywhere(saved.id)
    except Refusal as refusal:
        show_refusal(refusal)
        return
    st.rerun()


def _show_saved(tab: str) -> None:
    """Show once that a voice was stored, and the warnings about its recordings."""
    saved = st.session_state.pop(f"{tab}_saved", None)
    if saved is None:
        return
    st.success(t("library.saved", name=saved.name), icon=":material/check_circle:")
    for warning in saved.warnings:
        st.warning(t("work.warning", warning=warning_text(warning)), icon=":material/warning:")

"""Shows the provenance of a recording: its watermark, and the requests whose sentences are in it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui import shared
from ui.errors import Refusal
from ui.text.provenance import FoundRequest, found_requests
from ui.translations import t
from ui.widgets import press
from ui.widgets.notices import show_refusal
from ui.widgets.stored import moment
from ui.widgets.voices import FORMATS

_UNUSABLE = "unusable_reference"


def show() -> None:
    """Show the upload, and the answer about its file."""
    st.write(t("provenance.intro"))
    file = st.file_uploader(t("provenance.file"), type=FORMATS, key="provenance_file")
    if file is None:
        return

    if press.button(t("provenance.go"), key="provenance_go", icon=":material/search:"):
        with st.spinner(t("provenance.running")):
            st.session_state["provenance"] = file.file_id, _answer(file.getvalue())
    of_file, answer = st.session_state.get("provenance", ("", None))
    if of_file != file.file_id:
        return
    if isinstance(answer, Refusal):
        _show_refusal(answer)
    else:
        _show_answer(answer)


def _answer(recording: bytes) -> dict[str, Any] | Refusal:
    try:
        return shared.service().provenance(recording)
    except Refusal as refusal:
        return refusal


def _show_refusal(refusal: Refusal) -> None:
    if refusal.code == _UNUSABLE:
        st.error(t("provenance.unreadable"), icon=":material/error:")
    else:
        show_refusal(refusal)


def _show_answer(answer: Mapping[str, Any]) -> None:
    if answer["watermark"]["marked"]:
        st.success(t("provenance.marked"), icon=":material/check_circle:")
    else:
        st.info(t("provenance.unmarked"), icon=":material/help:")

    requests = found_requests(answer["sentences"])
    for found in requests:
        st.text(_request_text(found))
    if not requests:
        st.text(t("provenance.not_found"))
    for voice in answer["voices"]:
        if "consent" in voice:
            st.text(_consent_text(voice["name"], voice["consent"]))
    if not answer["complete"]:
        st.warning(t("provenance.incomplete"), icon=":material/warning:")


def _request_text(found: FoundRequest) -> str:
    how = t("provenance.exact") if found.exact else t("provenance.alike")
    spoken_at = moment(found.spoken_at)
    return t(
        "provenance.request", request=found.id, moment=spoken_at, count=found.sentences, how=how
    )


def _consent_text(name: str, consent: Mapping[str, str]) -> str:
    return t("provenance.consent", name=name, speaker=consent["speaker"], date=consent["date"])

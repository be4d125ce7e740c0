"""Tab 4: a text of any length, read aloud by the service while one listens, or does something else."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from ui import shared
from ui.client.jobs import begin_reading
from ui.client.order import ChosenVoice, Order
from ui.errors import BadDocument, Refusal
from ui.presets import KINDS as PRESETS
from ui.presets import preset
from ui.text.documents import KINDS, TextDocument, read_document
from ui.text.estimate import characters_per_second, seconds_of
from ui.text.markup import is_ssml
from ui.translations import duration, t, tongue
from ui.widgets import dialogue, options, press, preview, readings, voices
from ui.widgets.choice import pick
from ui.widgets.drawing import show_live_count
from ui.widgets.frame import announce
from ui.widgets.languages import AUTO, choose_language
from ui.widgets.notices import show_refusal
from ui.widgets.speak import columns, speak_button

_SHOWN_CHARACTERS: Final = 2_000  # of a document, as a sample
_SOURCES: Final = ("write", "file", "preset")
_DOCUMENT: Final = "reading_document"  # (file name, TextDocument) of the session


def show() -> None:
    """Show the tab."""
    st.write(t("reading.intro"))
    main, side = columns()
    with main:
        _show_text()
        readings.show()
    with side:
        voices.card("reading")
        options.show_what_is_copied()
        options.show("reading")


def _show_text() -> None:
    chosen, spoken = st.columns(2)
    with chosen:
        key = voices.select("reading")
    with spoken:
        language = choose_language("reading", found=True)
    text = _text(language)
    if is_ssml(text):
        st.caption(t("markup.ssml"))
    speakers = dialogue.show("reading", text, language)
    voice = voices.allowed("reading", key)
    no_document = st.session_state.get("reading_source") == "file" and not text
    disabled = voice is None or no_document
    if speak_button(t("reading.go"), "reading", key, disabled=disabled) and voice:
        _begin(text, language, voice, speakers)
    preview.show("reading", text, language, speakers)


def _begin(text: str, language: str, voice: ChosenVoice, speakers: Mapping[str, str]) -> None:
    if not text.strip():
        st.error(t("refusal.empty_text"), icon=":material/error:")
        return
    document = _shown_document()
    order = Order(
        text,
        language,
        voice,
        options.manner(),
        title=document.title,
        chapters=document.chapters,
        voices=speakers,
    )
    if readings.runs(order):
        return
    try:
        readings.add(begin_reading(shared.service(), order), order)
    except Refusal as refusal:
        show_refusal(refusal)
        return
    announce(t("work.begun"))
    st.rerun()


def _text(language: str) -> str:
    source = pick(
        st.segmented_control,
        t("reading.source"),
        {source: t(f"reading.source_{source}") for source in _SOURCES},
        remembered="reading_source",
        first="preset",
        required=True,
    )
    if source == "file":
        return _document(language)
    if source == "preset":
        return _preset(tongue() if language == AUTO else language)
    text = st.text_area(t("reading.text"), height=180, key="reading_text", persist_state="session")
    show_live_count(
        t("reading.text"),
        text=t("reading.count", count="{count}", duration="{duration}"),
        characters_per_second=characters_per_second(language),
        point="," if tongue() == "fr" else ".",
        key="reading_count",
    )
    return text or ""


def _preset(language: str) -> str:
    kind = pick(
        st.radio,
        t("reading.preset"),
        {kind: t(f"reading.{kind}") for kind in PRESETS},
        remembered="reading_kind",
        first=PRESETS[0],
        horizontal=True,
    )
    text = preset(language, kind)
    st.text(text)
    _show_count(text, language)
    return text


def _show_count(text: str, language: str) -> None:
    st.caption(t("reading.count", count=len(text), duration=duration(seconds_of(text, language))))


def _document(language: str) -> str:
    """Show the upload, which is emptied once it has given its text to the session, and return the text."""
    turn: int = st.session_state.setdefault("documents", 0)
    file = st.file_uploader(t("reading.file"), type=list(KINDS), key=f"reading_file_{turn}")
    if file is not None:
        try:
            with st.spinner(t("reading.opening")):
                st.session_state[_DOCUMENT] = (file.name, read_document(file.name, file.getvalue()))
        except BadDocument as refusal:
            st.session_state.pop(_DOCUMENT, None)
            show_refusal(refusal)
            return ""
        st.session_state["documents"] = turn + 1
        st.rerun()
    name, document = _opened()
    if document.text:
        _show_document(name, document, language)
    return document.text


def _opened() -> tuple[str, TextDocument]:
    """Return the file name and the document of the session; both empty where there is none."""
    opened: tuple[str, TextDocument] = st.session_state.get(_DOCUMENT, ("", TextDocument("")))
    return opened


def _shown_document() -> TextDocument:
    """Return the document that is read; an empty one for another text."""
    is_file = st.session_state.get("reading_source") == "file"
    return _opened()[1] if is_file else TextDocument("")


def _show_document(name: str, document: TextDocument, language: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(name)
        if press.button(t("reading.remove"), icon=":material/delete:", key="reading_remove"):
            del st.session_state[_DOCUMENT]
            st.rerun()
    if document.chapters:
        with st.expander(t("reading.chapters", count=len(document.chapters))):
            st.text("\n".join(chapter.title for chapter in document.chapters))
    with st.expander(t("reading.beginning")):
        st.text(document.text[:_SHOWN_CHARACTERS])
    _show_count(document.text, language)

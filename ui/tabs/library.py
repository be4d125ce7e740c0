"""Tab 3: the voice library: listen, rename, delete, and store new voices."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from ui import shared
from ui.client.library import MOST_FILES, LibraryVoice
from ui.errors import Refusal
from ui.text.file_name import file_stem
from ui.translations import number, t
from ui.widgets import library, press, save_voice, voices
from ui.widgets.choice import choose_one
from ui.widgets.notices import show_refusal, warning_text
from ui.widgets.voices import FORMATS


def show() -> None:
    """Show the tab."""
    st.write(t("library.intro"))
    _show_done()
    library.show_problems()
    known = _known()
    if known:
        chosen = choose_one(
            t("library.choose"),
            {voice.id: library.label(voice) for voice in known.values()},
            remembered="library_shown",
            first=None,
            placeholder=t("voice.gone"),
        )
        if chosen is not None:
            _show_chosen(known[chosen])
    else:
        st.caption(t("library.empty"))
    st.subheader(t("library.add"))
    save_voice.show("library", _recordings())


def _known() -> Mapping[str, LibraryVoice]:
    """Return the voices to choose from. A library that is too long for a list has a search."""
    known = library.voices_by_id()
    if library.is_complete():
        return known
    name = st.text_input(t("library.search"), key="library_search", persist_state="session")
    if not name:
        return known
    try:
        found = library.found_by_name(name)
    except Refusal as refusal:
        show_refusal(refusal)
        return known
    if not found:
        st.info(t("library.not_found"))
    return found


def _show_chosen(voice: LibraryVoice) -> None:
    with st.container(border=True, key="library_chosen"):
        st.markdown(f"**{t(f'library.{voice.kind}')}**")
        st.text(voice.name)
        if voice.description:
            st.text(voice.description)
        if voice.clips:
            seconds = number(voice.seconds)
            st.caption(t("library.recordings", count=voice.clips, seconds=seconds))
        if voice.speaker:
            st.text(t("library.consented", speaker=voice.speaker, date=voice.consented_on))
        for warning in voice.warnings:
            st.caption(t("work.warning", warning=warning_text(warning)))
        library.listen(voice, "library")
        if press.button(t("library.use"), icon=":material/check:", key="library_use"):
            library.use(voice)
            voices.choose_everywhere(voice.id)
            _done(t("library.used", name=voice.name))
        if voice.own:
            _show_changes(voice)
            _show_recordings(voice)


def _show_changes(voice: LibraryVoice) -> None:
    rename, delete = st.columns(2)
    with rename, st.popover(t("library.rename"), icon=":material/edit:", width="stretch"):
        name = st.text_input(
            t("library.new_name"), voice.name, max_chars=64, key=f"library_name_{voice.id}"
        )
        if press.button(t("library.rename_now"), type="primary", key="library_rename"):
            _rename(voice, name.strip())
    with delete, st.popover(t("library.delete"), icon=":material/delete:", width="stretch"):
        st.text(t("library.delete_why", name=voice.name))
        if press.button(t("library.delete_now"), type="primary", key=f"library_delete_{voice.id}"):
            _delete(voice)


def _show_recordings(voice: LibraryVoice) -> None:
    """Show how to replace the recordings and to export the voice."""
    turn: int = st.session_state.setdefault("replacements", 0)
    key = f"library_replace_{voice.id}_{turn}"
    with st.expander(
        t("library.replace"), icon=":material/sync:", on_change="rerun", key=key
    ) as replacement:
        if replacement.open and save_voice.show_replacement(voice, _recordings(f"{key}_files")):
            st.session_state["replacements"] = turn + 1
            _done(t("library.replaced", name=voice.name))
    st.download_button(
        t("library.export"),
        data=partial(shared.service().export_voice, voice.id),
        file_name=f"{file_stem(voice.name)}.voice.zip",
        on_click="ignore",
        help=t("library.export_why"),
        icon=":material/download:",
        key="library_export",
    )


def _rename(voice: LibraryVoice, name: str) -> None:
    if not save_voice.is_name(name):
        st.error(t("library.bad_name"), icon=":material/error:")
        return
    try:
        shared.service().rename_voice(voice.id, name)
    except Refusal as refusal:
        show_refusal(refusal)
        return
    _done(t("library.renamed", name=name))


def _delete(voice: LibraryVoice) -> None:
    try:
        shared.service().delete_voice(voice.id)
    except Refusal as refusal:
        show_refusal(refusal)
        if refusal.code == "unknown_voice":  # deleted elsewhere
            library.refresh()
        return
    library.forget(voice.id)
    for tab in [name for name in st.session_state if str(name).endswith("_preview")]:
        del st.session_state[tab]
    st.session_state.pop("library_shown", None)
    _done(t("library.deleted", name=voice.name))


def _done(message: str) -> None:
    """Show the message in the next run of the script, with a new list."""
    library.refresh()
    st.session_state["library_done"] = message
    st.rerun()


def _show_done() -> None:
    message = st.session_state.pop("library_done", "")
    if message:
        st.success(message, icon=":material/check_circle:")


def _recordings(key: str = "library_upload") -> tuple[bytes, ...]:
    """Show the upload and return its files."""
    files = st.file_uploader(
        t("library.upload", most=MOST_FILES),
        type=FORMATS,
        accept_multiple_files=True,
        key=key,
        help=t("voice.upload_help"),
    )
    if len(files) > MOST_FILES:
        st.error(t("library.too_many_files", most=MOST_FILES), icon=":material/error:")
        return ()
    return tuple(file.getvalue() for file in files)

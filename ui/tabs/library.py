"""Tab 3: the voice library: listen, rename, delete, and store new voices."""

import streamlit as st

from ui import shared
from ui.client.library import MOST_FILES, LibraryVoice
from ui.errors import Refusal
from ui.translations import number, t
from ui.widgets import library, save_voice
from ui.widgets.choice import choose_one
from ui.widgets.notices import show_refusal
from ui.widgets.voices import FORMATS


def show() -> None:
    """Show the tab."""
    st.write(t("library.intro"))
    _show_done()
    library.show_problems()
    known = library.voices_by_id()
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
            st.caption(t("work.warning", warning=warning))
        library.listen(voice, "library")
        if voice.own:
            _show_changes(voice)


def _show_changes(voice: LibraryVoice) -> None:
    rename, delete = st.columns(2)
    with rename, st.popover(t("library.rename"), icon=":material/edit:", width="stretch"):
        name = st.text_input(
            t("library.new_name"), voice.name, max_chars=64, key=f"library_name_{voice.id}"
        )
        if st.button(t("library.rename_now"), type="primary", key="library_rename"):
            _rename(voice, name.strip())
    with delete, st.popover(t("library.delete"), icon=":material/delete:", width="stretch"):
        st.text(t("library.delete_why", name=voice.name))
        if st.button(t("library.delete_now"), type="primary", key=f"library_delete_{voice.id}"):
            _delete(voice)


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


def _recordings() -> tuple[bytes, ...]:
    """Show the upload and return its files."""
    files = st.file_uploader(
        t("library.upload", most=MOST_FILES),
        type=FORMATS,
        accept_multiple_files=True,
        key="library_upload",
        help=t("voice.upload_help"),
    )
    if len(files) > MOST_FILES:
        st.error(t("library.too_many_files", most=MOST_FILES), icon=":material/error:")
        return ()
    return tuple(file.getvalue() for file in files)

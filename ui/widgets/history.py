"""The history: the results of this browser that the service stores, to play, compare, use again and delete."""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from ui import shared
from ui.client.history import StoredResult, results
from ui.client.speech import Speaking
from ui.errors import Refusal
from ui.translations import number, t
from ui.widgets import dialogue, library, press, stored
from ui.widgets.notices import show_refusal
from ui.widgets.parameters import label as parameter_label
from ui.widgets.storing import label

_OPEN: Final = "history_open"  # id of the result that is played
_COMPARED: Final = "history_compared"  # id of the one that it is compared with
_SHOWN_CHARACTERS: Final = 200


def show(current: Speaking | None) -> None:
    """Show the history in a closed box, whose content is fetched when it is opened. `current`: the result above."""
    with st.expander(
        t("history.title"), icon=":material/history:", on_change="rerun", key="history"
    ) as box:
        if not box.open:
            return
        st.caption(t("history.intro"))
        try:
            listed = results(shared.service(), label(), _requests())
        except Refusal as refusal:
            show_refusal(refusal)
            return
        if not listed:
            st.caption(t("history.empty"))
            return
        by_id = {result.id: result for result in listed}
        opened = by_id.get(st.session_state.get(_OPEN, ""))
        compared = by_id.get(st.session_state.get(_COMPARED, ""))
        if opened is not None and compared is not None and opened != compared:
            _show_comparison(opened, compared)
        for place, result in enumerate(listed):
            _show_entry(place, result, opened, compared, current)
        _show_delete_all(listed, current)


def _requests() -> dict[str, Mapping[str, Any]]:
    """Return the requests that this session has read."""
    requests: dict[str, Mapping[str, Any]] = st.session_state.setdefault("history_requests", {})
    return requests


def _show_comparison(a: StoredResult, b: StoredResult) -> None:
    """Show two results side by side, each with its player."""
    with st.container(border=True, key="history_comparison"):
        for column, name, result in zip(st.columns(2), "AB", (a, b), strict=True):
            with column:
                st.text(f"{name}: {_beginning(result)}")
                st.caption(details(result))
                _show_player(result, f"history_{name.lower()}")


def _show_player(result: StoredResult, place: str) -> None:
    reading = stored.find(result.id)
    if reading is not None:
        stored.show_player(reading, place)


def _show_entry(
    place: int,
    result: StoredResult,
    opened: StoredResult | None,
    compared: StoredResult | None,
    current: Speaking | None,
) -> None:
    with st.container(border=True, key=f"history_{place}"):
        st.text(_beginning(result))
        st.caption(details(result))
        with st.container(horizontal=True):
            _show_choices(result, opened)
            if press.button(
                t("history.again"), icon=":material/edit_note:", key=f"again_{result.id}"
            ):
                _use_again(result)
            if press.button(
                t("history.delete"), icon=":material/delete:", key=f"delete_{result.id}"
            ):
                _delete([result], current)
        if result == opened:
            _show_opened(result, comparing=compared is not None and compared != opened)


def _show_choices(result: StoredResult, opened: StoredResult | None) -> None:
    """Show the buttons that open a result and that compare it with the open one."""
    if result != opened:
        if press.button(t("history.open"), icon=":material/play_arrow:", key=f"open_{result.id}"):
            st.session_state[_OPEN] = result.id
            st.session_state.pop(_COMPARED, None)
            st.rerun()
        if opened is not None and press.button(
            t("history.compare"), icon=":material/compare:", key=f"compare_{result.id}"
        ):
            st.session_state[_COMPARED] = result.id
            st.rerun()
    elif press.button(t("history.close"), icon=":material/close:", key=f"close_{result.id}"):
        st.session_state.pop(_OPEN, None)
        st.session_state.pop(_COMPARED, None)
        st.rerun()


def _show_opened(result: StoredResult, *, comparing: bool) -> None:
    """Show player, files and sentences of the open result. While it is compared, its player is with the other one."""
    reading = stored.find(result.id)
    if reading is None:
        return
    if not comparing:
        stored.show_player(reading, "history")
    stored.show_downloads(reading, "history")
    stored.show_redo(reading, "history")


def _show_delete_all(listed: list[StoredResult], current: Speaking | None) -> None:
    with st.popover(t("history.delete_all"), icon=":material/delete_sweep:"):
        st.write(t("history.delete_all_why", count=len(listed)))
        if press.button(t("library.delete_now"), type="primary", key="history_delete_all"):
            _delete(listed, current)


def _delete(deleted: list[StoredResult], current: Speaking | None) -> None:
    """Delete results, and let the panel above forget that its own is stored."""
    for result in deleted:
        if not stored.delete(result.id):
            return
        if current is not None and current.id == result.id:
            current.forget_stored()
    st.rerun()


def _use_again(result: StoredResult) -> None:
    """Put text, language, voice and options into the fields of the tab, at the next run of the script."""
    st.session_state["history_again"] = result
    st.rerun()


def take_again() -> None:
    """Fill the fields of the tab before they are shown, if a result is to be used again.

    A voice that is no longer in the list, and recordings, are not chosen: the voice stays the one that is shown.
    """
    result: StoredResult | None = st.session_state.pop("history_again", None)
    if result is None:
        return
    state = st.session_state
    state["quick_text"] = result.text
    state["quick_language_chosen"] = result.language
    if result.voice in library.voices_by_id():
        state["quick_chosen"] = result.voice
    written = {
        "seed": "" if result.seed is None else str(result.seed),
        "pronunciations": "\n".join(
            f"{word} = {spoken}" for word, spoken in result.pronunciations.items()
        ),
    }
    for name, value in written.items():
        state[name] = value
        state[f"quick_{name}"] = value
    state["parameters"] = {
        name: value for name, value in result.parameters.items() if not isinstance(value, str)
    }
    dialogue.recall("quick", result.voices)
    stale = ("quick_parameter_", "quick_language_chosen_")  # widgets that begin with the new values
    for key in list(state):
        if str(key).startswith(stale):
            del state[key]


def _beginning(result: StoredResult) -> str:
    words = result.words
    return words if len(words) <= _SHOWN_CHARACTERS else words[:_SHOWN_CHARACTERS] + "…"


def details(result: StoredResult) -> str:
    """Return when and how a result was made, and until when it is stored."""
    stored_voices = library.voices_by_id()
    if result.voice in stored_voices:
        voice = library.label(stored_voices[result.voice])
    else:
        voice = t("history.voice_gone" if result.voice else "history.recordings")
    parts = [
        stored.moment(result.created),
        voice,
        t("history.seconds", seconds=number(result.seconds)),
        *([] if result.seed is None else [t("history.seed", seed=result.seed)]),
        *(
            f"{parameter_label(name)}: {value if isinstance(value, str) else number(value, 2)}"
            for name, value in result.parameters.items()
        ),
        *([t("history.revised", count=result.revision)] if result.revision else []),
        t("history.until", moment=stored.moment(result.expires)),
    ]
    return " · ".join(parts)

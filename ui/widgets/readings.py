"""The readings: those of this browser, which its address names, and the others that the service keeps."""

from typing import Any, Final

import streamlit as st

from ui import shared
from ui.audio.encoding import FORMATS
from ui.client.jobs import Reading, find_reading
from ui.client.order import Order
from ui.errors import Refusal
from ui.text.markup import is_ssml
from ui.text.sentences import srt, vtt
from ui.translations import duration, t
from ui.widgets import press, redo
from ui.widgets.frame import announce
from ui.widgets.notices import show_left_out, show_refusal
from ui.widgets.player import PlayedChapter, play

_IN_ADDRESS: Final = "reading"  # the query parameter, once for each reading, the newest first
_MOST: Final = 10
_LISTED: Final = 20  # of the others


def own() -> dict[str, Reading]:
    """Return this browser's readings by their ids, the newest first. After a reload it finds them by the address."""
    readings: dict[str, Reading] | None = st.session_state.get("readings")
    if readings is None:
        readings = {}
        st.session_state["readings"] = readings
        for job_id in st.query_params.get_all(_IN_ADDRESS)[:_MOST]:
            _find(readings, job_id)
        _put_in_address()
    return readings


def _find(readings: dict[str, Reading], job_id: str) -> None:
    try:
        readings[job_id] = find_reading(shared.service(), job_id)
    except Refusal as refusal:
        if not refusal.gone:  # it may be there again after the next reload
            st.session_state.setdefault("readings_missed", []).append(job_id)


def add(reading: Reading, order: Order) -> None:
    """Add a new reading, and show it."""
    readings = own()
    st.session_state["readings"] = {reading.id: reading, **readings}
    for old in list(st.session_state["readings"])[_MOST:]:
        del st.session_state["readings"][old]
    st.session_state["reading_open"] = reading.id
    st.session_state["reading_order"] = (reading.id, order)
    _put_in_address()


def runs(order: Order) -> bool:
    """Return whether this was begun last and still runs."""
    job_id, last = st.session_state.get("reading_order", ("", None))
    reading = own().get(job_id)
    return reading is not None and not reading.ended and last == order


def _put_in_address() -> None:
    missed = st.session_state.get("readings_missed", [])
    st.query_params[_IN_ADDRESS] = [*st.session_state["readings"], *missed]


def show() -> None:
    """Show the open reading, and the list of all."""
    readings = own()
    if readings:
        opened: str = st.session_state.get("reading_open", "")
        reading = readings.get(opened) or next(iter(readings.values()))
        st.fragment(_show_reading, run_every=None if reading.ended else 0.7)(reading)
        if reading.whole:
            redo.show(
                reading.id, tab="reading", ssml=is_ssml(reading.text), replaced=reading.refresh
            )
        if len(readings) > 1:
            _show_list(readings, reading.id)
    _show_others()


def _show_list(readings: dict[str, Reading], opened: str) -> None:
    st.subheader(t("reading.list"))
    for reading in readings.values():
        if reading.id != opened:
            _show_entry(reading)


def _show_entry(reading: Reading) -> None:
    with st.container(border=True, key=f"reading_{reading.id}"):
        st.text(title_of(reading.title, reading.state))
        st.caption(state_text(reading.state, ended=reading.failure is not None))
        with st.container(horizontal=True):
            if press.button(t("reading.open"), key=f"reading_open_{reading.id}"):
                st.session_state["reading_open"] = reading.id
                st.rerun()
            _show_end_button(reading)


def _show_end_button(reading: Reading) -> None:
    """Show the button that cancels a running reading, or deletes one that has ended."""
    name = "reading.delete" if reading.ended else "work.cancel"
    icon = ":material/delete:" if reading.ended else ":material/cancel:"
    if not press.button(t(name), icon=icon, key=f"reading_end_{reading.id}"):
        return
    ended = reading.ended
    try:
        reading.cancel()
    except Refusal as refusal:
        if not refusal.gone:
            show_refusal(refusal)
            return
    if ended:
        own().pop(reading.id, None)
        _put_in_address()
        st.rerun()


def title_of(title: str, state: dict[str, Any]) -> str:
    """Return how a reading is called."""
    return state.get("title") or title or t("reading.untitled", created=created(state))


def created(state: dict[str, Any]) -> str:
    """Return when a job was created: date and time to the minute, UTC."""
    return str(state.get("created", ""))[:16].replace("T", " ")


def state_text(state: dict[str, Any], *, ended: bool = False) -> str:
    """Return how far a job is."""
    name = state["state"]
    if name in ("done", "failed", "cancelled") or ended:
        seconds = state.get("audio_seconds", 0.0)
        ending = t(f"reading.{name}") if name in ("done", "failed", "cancelled") else ""
        return " · ".join(part for part in (ending, duration(seconds)) if part)
    return t(
        "reading.progress", spoken=state.get("spoken", 0), sentences=state.get("sentences") or "?"
    )


def _show_reading(reading: Reading) -> None:
    """Show how far it is and the player, again and again until it has ended."""
    if reading.ended and st.session_state.get("reading_ended") != reading.id:
        st.session_state["reading_ended"] = reading.id
        if reading.whole:
            announce(t("reading.is_done"))
        st.rerun()
    if not reading.ended:
        _show_progress(reading)
    if reading.failure is not None:
        show_refusal(reading.failure)
        if reading.failure.code != "cancelled":
            _show_end_button(reading)
            return
    if reading.alignment.ends_s or reading.whole:
        revision = f"?revision={reading.revision}" if reading.revision else ""
        play(
            f"/reading/{reading.id}.wav{revision}",
            key="reading_player",
            live=not reading.ended or (_is_begun_here(reading) and not reading.revision),
            whole=reading.whole,
            marks=f"/marks/{reading.id}" if reading.text else "",
            remembered=reading.id,
            chapters=_chapters(reading),
        )
    if reading.text:
        show_left_out(reading.text, reading.alignment.left_out)
    if reading.whole:
        _show_downloads(reading)


def _chapters(reading: Reading) -> list[PlayedChapter]:
    """Return the chapters as the player lists them, with a link to each once all audio is available."""
    return [
        PlayedChapter(
            title=chapter.title,
            begins=chapter.begins_s,
            length="" if chapter.seconds is None else duration(chapter.seconds),
            href=f"/reading/{reading.id}.mp3?save&chapter={index}" if reading.whole else "",
            download=t("reading.download_chapter", title=chapter.title),
        )
        for index, chapter in enumerate(reading.chapters)
    ]


def _is_begun_here(reading: Reading) -> bool:
    """Return whether this page has begun it, and so plays it without another click."""
    begun: str = st.session_state.get("reading_order", ("", None))[0]
    return begun == reading.id


def _show_progress(reading: Reading) -> None:
    spoken, sentences = reading.progress
    left = (
        t("reading.left", duration=duration(reading.left_s)) if reading.left_s is not None else ""
    )
    text = t("reading.progress", spoken=spoken, sentences=sentences or "?") + left
    st.progress(min(spoken / sentences, 1.0) if sentences else 0.0, text=text)
    _show_end_button(reading)


def _show_downloads(reading: Reading) -> None:
    icon = ":material/download:"
    with st.container(horizontal=True, key="reading_downloads"):
        for kind in FORMATS:
            st.link_button(kind.upper(), f"/reading/{reading.id}.{kind}?save", icon=icon)
        st.link_button("M4B", f"/reading/{reading.id}/book.m4b", icon=icon)
        if reading.chapters:
            st.link_button(t("reading.mp3_chapters"), f"/reading/{reading.id}/book.mp3", icon=icon)
        cues = list(reading.alignment.cues()) if reading.text else []
        for kind, content in (("srt", srt(cues)), ("vtt", vtt(cues))) if cues else ():
            st.download_button(
                kind.upper(),
                content,
                f"reading.{kind}",
                on_click="ignore",
                icon=icon,
                key=f"reading_{kind}",
            )
        _show_end_button(reading)
    st.caption(t("work.synthetic"))


def _show_others() -> None:
    """Show the readings of the service that this browser does not have, on request."""
    with st.expander(
        t("reading.others"), icon=":material/history:", on_change="rerun", key="reading_others"
    ) as others:
        if not others.open:
            return
        try:
            jobs = shared.service().jobs(_LISTED)
        except Refusal as refusal:
            show_refusal(refusal)
            return
        known = own()
        unknown = [job for job in jobs if job["id"] not in known]
        if not unknown:
            st.caption(t("reading.no_others"))
        for job in unknown:
            _show_other(job)


def _show_other(job: dict[str, Any]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"other_{job['id']}"):
        st.text(title_of("", job))
        st.caption(state_text(job))
        if press.button(t("reading.open"), key=f"other_open_{job['id']}"):
            _take(job["id"])


def _take(job_id: str) -> None:
    try:
        reading = find_reading(shared.service(), job_id)
    except Refusal as refusal:
        show_refusal(refusal)
        return
    st.session_state["readings"] = {job_id: reading, **own()}
    st.session_state["reading_open"] = job_id
    _put_in_address()
    st.rerun()

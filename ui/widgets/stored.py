"""A result that the service stores: until when, its player and files, and what can be changed in it."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from ui import shared
from ui.audio.encoding import FORMATS
from ui.client.jobs import Reading, find_reading
from ui.client.speech import Speaking
from ui.errors import Refusal
from ui.text.markup import is_ssml
from ui.text.sentences import SUBTITLES
from ui.translations import t
from ui.widgets import press, redo
from ui.widgets.frame import announce
from ui.widgets.notices import show_refusal
from ui.widgets.player import play


def show(tab: str, speaking: Speaking) -> None:
    """Show whether the service stores a speech that has ended, and what can be done with it then."""
    if speaking.storing:
        st.fragment(_wait, run_every=0.5)(speaking)
    elif speaking.store_failure is not None:
        st.caption(t("history.not_stored"))
        show_refusal(speaking.store_failure)
    elif speaking.stored is not None:
        _show_stored(tab, speaking, str(speaking.stored.get("expires", "")))


def _wait(speaking: Speaking) -> None:
    if not speaking.storing:
        st.rerun()
    st.caption(t("history.storing"))


def _show_stored(tab: str, speaking: Speaking, expires: str) -> None:
    reading = find(speaking.id)
    with st.container(horizontal=True, vertical_alignment="center", key=f"{tab}_stored"):
        st.caption(t("history.stored_until", moment=moment(expires)))
        if reading is not None and not reading.revision:
            _show_subtitles(reading)
        if press.button(
            t("history.delete"), icon=":material/delete:", key=f"{tab}_stored_delete"
        ) and delete(speaking.id):
            speaking.forget_stored()
            st.rerun()
    if reading is not None:
        show_redo(reading, tab)


def show_redo(reading: Reading, place: str) -> None:
    """Show the box that speaks one sentence of a stored result again."""
    redo.show(reading.id, tab=place, ssml=is_ssml(reading.text), replaced=reading.refresh)


def find(job_id: str) -> Reading | None:
    """Return a stored result; None if it is no longer stored, which is shown."""
    try:
        return find_reading(shared.service(), job_id)
    except Refusal as refusal:
        show_refusal(refusal)
        return None


def delete(job_id: str) -> bool:
    """Delete a stored result; return whether it is deleted."""
    try:
        shared.service().cancel_job(job_id)
    except Refusal as refusal:
        if not refusal.gone:
            show_refusal(refusal)
            return False
    announce(t("history.deleted"))
    return True


def changed_reading(speaking: Speaking) -> Reading | None:
    """Return the stored result of a speech, if a sentence of it was spoken again."""
    if speaking.stored is None:
        return None
    reading = find(speaking.id)
    return reading if reading is not None and reading.revision else None


def show_player(reading: Reading, place: str) -> None:
    """Show a player of the latest revision. A result that is shown twice has two, by `place`."""
    play(
        f"/reading/{reading.id}.wav?in={place}&revision={reading.revision}",
        key=f"{place}_player_stored",
        live=False,
        whole=True,
        marks=f"/marks/{reading.id}" if reading.text else "",
    )


def show_downloads(reading: Reading, place: str) -> None:
    """Show the links to the files of the latest revision."""
    icon = ":material/download:"
    with st.container(horizontal=True, key=f"{place}_downloads"):
        for kind in FORMATS:
            st.link_button(
                t("work.download", kind=kind.upper()),
                f"/reading/{reading.id}.{kind}?save",
                icon=icon,
            )
        _show_subtitles(reading)


def _show_subtitles(reading: Reading) -> None:
    for kind in SUBTITLES:
        st.link_button(
            t("work.download", kind=kind.upper()),
            f"/reading/{reading.id}/subtitles.{kind}",
            icon=":material/download:",
        )


def moment(timestamp: str) -> str:
    """Return a time of the service to the minute, in the browser's time zone."""
    return local_time(timestamp, st.context.timezone)


def local_time(timestamp: str, zone: str | None) -> str:
    """Return an RFC 3339 time to the minute, in a time zone; UTC if the zone is unknown."""
    if not timestamp:
        return "?"
    try:
        place = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        place = ZoneInfo("UTC")
    return f"{datetime.fromisoformat(timestamp).astimezone(place):%Y-%m-%d %H:%M}"

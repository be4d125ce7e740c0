"""The choice of a voice: of the library, or of this session.

Voices of the session are recorded or uploaded, held until the browser's tab is closed, and usable in every tab.
"""

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import streamlit as st

from ui.audio.recorded import RecordedVoice, recorded
from ui.client.library import LibraryVoice
from ui.client.order import ChosenVoice
from ui.errors import BadAudio
from ui.translations import number, t
from ui.widgets import library, press
from ui.widgets.choice import choose_one
from ui.widgets.drawing import draw_waveform

FORMATS: Final = ["wav", "mp3", "flac", "ogg", "m4a", "webm"]
DEFAULT: Final = ""  # the key of the language's default voice
_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "voices" / "austen.flac"
_MOST: Final = 20  # of one session
_MOST_BYTES: Final = 200 * 1024 * 1024  # of one session; the server takes uploads of this size
_IN_ADDRESS: Final = "voice"  # the query parameter with the chosen voice


def kept() -> dict[str, RecordedVoice]:
    """Return the session's voices by their keys, the newest last."""
    voices: dict[str, RecordedVoice] | None = st.session_state.get("voices")
    if voices is None:
        voices = {}
        st.session_state["voices"] = voices
        if _EXAMPLE.exists():
            voices[_example().key] = _example()
    return voices


@cache
def _example() -> RecordedVoice:
    return recorded("", _EXAMPLE.read_bytes(), free=True)


def keep(name: str, content: bytes, *, number: int = 0) -> RecordedVoice:
    """Add a recording to the session's voices; the oldest ones are dropped for it. Raises BadAudio.

    `number`: of a recording without a name.
    """
    voices = kept()
    new = recorded(name, content, number=number)
    voices.setdefault(new.key, new)
    while len(voices) > _MOST or sum(len(voice.content) for voice in voices.values()) > _MOST_BYTES:
        oldest = next(key for key in voices if key != new.key)
        del voices[oldest]
    return voices[new.key]


def remove(key: str) -> None:
    """Erase a voice of the session. No other one replaces it where it was chosen."""
    kept().pop(key, None)
    st.session_state.get("consents", {}).pop(key, None)


def select(tab: str) -> str | None:
    """Show all voices and return the key of the one that is shown; None where the chosen one has disappeared."""
    stored = library.voices_by_id()
    session = kept()
    keys = _keys(stored, session)
    chosen = choose_one(
        t("voice.choose"),
        {key: _label(key, stored, session) for key in keys},
        remembered=f"{tab}_chosen",
        first=_first(),
        placeholder=t("voice.gone") if keys else t("voice.none"),
        noted=_put_in_address,
    )
    if chosen is None and keys:
        _say_it_is_gone(chosen_key(tab))
    library.show_problems()
    return chosen


def _keys(stored: Mapping[str, LibraryVoice], session: Mapping[str, RecordedVoice]) -> list[str]:
    """Return the choices: the default voice where there may be one, the library, this session's."""
    return [*([DEFAULT] if has_default(stored) else []), *stored, *session]


def current(tab: str) -> str | None:
    """Return the key of the voice that `select` shows; None where the chosen one has disappeared."""
    keys = _keys(library.voices_by_id(), kept())
    chosen = chosen_key(tab)
    if chosen is None:
        return keys[0] if keys else None
    return chosen if chosen in keys else None


def choose_everywhere(key: str) -> None:
    """Choose a new voice in every tab, at the next run of the script."""
    st.session_state["newest_voice"] = key
    for name in [name for name in st.session_state if str(name).endswith("_chosen")]:
        if not str(name).endswith("_language_chosen"):
            del st.session_state[name]
    _put_in_address(key)


def chosen_key(tab: str) -> str | None:
    """Return the key of the voice that this tab has chosen; None before any choice."""
    chosen: str | None = st.session_state.get(f"{tab}_chosen", _first())
    return chosen


def _first() -> str | None:
    """Return the voice of a tab that none was chosen in: the newest, or that of the address, as after a reload."""
    if "newest_voice" not in st.session_state:
        st.session_state["newest_voice"] = st.query_params.get(_IN_ADDRESS)
    first: str | None = st.session_state["newest_voice"]
    return first


def _put_in_address(key: str | None) -> None:
    if key:
        st.query_params[_IN_ADDRESS] = key


def _say_it_is_gone(key: str | None) -> None:
    is_recording = key is not None and not key.startswith(("v_", "builtin:"))
    st.warning(
        t("voice.recording_lost" if is_recording else "voice.gone_why"), icon=":material/error:"
    )


def has_default(stored: Mapping[str, LibraryVoice]) -> bool:
    """Return whether a language can have a default voice: it is a built-in one."""
    return any(voice.kind == "builtin" for voice in stored.values())


def _label(
    key: str, stored: Mapping[str, LibraryVoice], session: Mapping[str, RecordedVoice]
) -> str:
    if key in stored:
        return library.label(stored[key])
    return name_of(session[key]) if key in session else t("voice.default")


def name_of(voice: RecordedVoice) -> str:
    """Return the name of a recording as it is shown."""
    if voice.number:
        return t("recording.name", number=voice.number)
    return t("voice.example") if voice.free else voice.name


def allowed(tab: str, key: str | None) -> ChosenVoice | None:
    """Return the voice with this key; for a recording, ask for the consent and return None until it is given."""
    if key is None:
        return None
    if key == DEFAULT:
        return ChosenVoice()
    if key not in kept():
        return ChosenVoice(id=key)
    voice = kept()[key]
    if not voice.quality.usable:
        return None
    return ChosenVoice(recordings=(voice.content,)) if consent(voice, tab) else None


def consent(voice: RecordedVoice, tab: str) -> bool:
    """Ask for the speaker's consent, once for each voice, and return whether it was given.

    Only the tab where it was given can withdraw it. A click may arrive before the browser has shown
    the latest run: it then still reports an empty box in each of the other tabs.
    """
    if voice.free:
        return True
    given: dict[str, str] = st.session_state.setdefault("consents", {})  # voice: tab
    elsewhere = given.get(voice.key, tab) != tab
    tick = f"{tab}_consent_{voice.key}"
    st.session_state[tick] = voice.key in given
    st.checkbox(
        t("voice.consent"),
        value=st.session_state[tick],
        key=tick,
        on_change=None if elsewhere else _note(given, voice.key, tab),
        disabled=elsewhere,
    )
    if not st.session_state[tick]:
        st.caption(t("voice.consent_why"))
    return bool(st.session_state[tick])


def _note(given: dict[str, str], key: str, tab: str) -> Callable[[], None]:
    def note() -> None:
        if st.session_state[f"{tab}_consent_{key}"]:
            given[key] = tab
        else:
            given.pop(key, None)

    return note


def card(tab: str) -> None:
    """Show the chosen voice with a sample and buttons to change it, and the upload of another one."""
    key = current(tab)
    stored = library.voices_by_id()
    if key is None or key == DEFAULT:
        st.caption(t("voice.none_chosen" if key is None else "voice.default_why"))
    elif key in stored:
        library.listen(stored[key], tab)
    elif key in kept():
        show(kept()[key], tab)
        if not kept()[key].free:
            manage(kept()[key], tab)
    upload(tab)


def show(voice: RecordedVoice, tab: str) -> None:
    """Show a voice's player, its waveform and what is doubtful about it."""
    st.audio(voice.content, alt=t("voice.recording_of", name=name_of(voice)))
    seconds = number(voice.quality.seconds)
    draw_waveform(voice.waveform, t("voice.waveform", seconds=seconds), key=f"{tab}_waveform")
    found = voice.quality.complaints()
    measured = t(
        "voice.measured", seconds=seconds, noise=number(voice.quality.speech_over_noise_db, 0)
    )
    if not found:
        st.caption(f":green[✓ {t('voice.good')}] {measured}")
    for name in found:
        colour = "orange" if voice.quality.usable else "red"
        st.caption(f":{colour}[⚠ {t(f'quality.{name}')}] {measured}")


def manage(voice: RecordedVoice, tab: str) -> None:
    """Show how to rename and to remove a voice of the session."""
    with st.container(horizontal=True):
        with st.popover(t("library.rename"), icon=":material/edit:"):
            name = st.text_input(
                t("library.new_name"),
                name_of(voice),
                max_chars=64,
                key=f"{tab}_name_{voice.key}",
            )
            if press.button(t("library.rename_now"), type="primary", key=f"{tab}_rename"):
                _rename(voice, name.strip())
        if press.button(
            t("voice.remove"), icon=":material/delete:", key=f"{tab}_remove_{voice.key}"
        ):
            remove(voice.key)
            st.rerun()


def _rename(voice: RecordedVoice, name: str) -> None:
    if not name:
        st.error(t("voice.no_name"), icon=":material/error:")
        return
    kept()[voice.key] = voice.renamed(name)
    st.rerun()


def upload(tab: str) -> None:
    """Show the upload. It is emptied once it has given its voice to the session, so that no file is held twice."""
    turn: int = st.session_state.setdefault("uploads", 0)
    file = st.file_uploader(
        t("voice.upload"), type=FORMATS, key=f"{tab}_upload_{turn}", help=t("voice.upload_help")
    )
    if file is None or st.session_state.get("unreadable_upload") == file.file_id:
        if file is not None:
            st.error(t("refusal.unreadable_audio"), icon=":material/error:")
        return
    try:
        with st.spinner(t("voice.reading")):
            voice = keep(file.name, file.getvalue())
    except BadAudio:
        st.session_state["unreadable_upload"] = file.file_id
    else:
        st.session_state["uploads"] = turn + 1
        choose_everywhere(voice.key)
    st.rerun()


def shown_as(key: str | None) -> str:
    """Return a part for the key of a button that speaks: a click on it is valid for the voice shown with it only."""
    return sha256((key or "").encode()).hexdigest()[:8]

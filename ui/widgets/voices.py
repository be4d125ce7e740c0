"""The choice of a voice: of the library, or of this session.

Voices of the session are recorded or uploaded, held until the browser's tab is closed, and usable in every tab.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import streamlit as st

from ui.audio.looks import Quality, quality, waveform_path
from ui.audio.reading import Samples, read_audio
from ui.client.library import LibraryVoice
from ui.client.service import ChosenVoice
from ui.errors import BadAudio
from ui.translations import number, t
from ui.widgets import library
from ui.widgets.choice import choose_one
from ui.widgets.drawing import draw_waveform

FORMATS: Final = ["wav", "mp3", "flac", "ogg", "m4a", "webm"]
DEFAULT: Final = ""  # the key of the language's default voice
_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "voices" / "austen.flac"
_MOST: Final = 20  # of one session


@dataclass(frozen=True)
class RecordedVoice:
    """A recording of a voice."""

    name: str
    content: bytes  # the file as it came
    samples: Samples
    quality: Quality
    free: bool = False  # in the public domain: no consent needed

    @property
    def key(self) -> str:
        """Return its unique key."""
        return sha256(self.content).hexdigest()[:16]


def kept() -> dict[str, RecordedVoice]:
    """Return the session's voices by their keys, the newest last."""
    voices: dict[str, RecordedVoice] = st.session_state.setdefault("voices", {})
    if not voices and _EXAMPLE.exists():
        example = _read(t("voice.example"), _EXAMPLE.read_bytes(), free=True)
        voices[example.key] = example
    return voices


def keep(name: str, content: bytes) -> RecordedVoice:
    """Add a recording to the session's voices. Raises BadAudio."""
    voices, key = kept(), sha256(content).hexdigest()[:16]
    if key not in voices:
        voices[key] = _read(name, content, free=False)
        while len(voices) > _MOST:
            del voices[next(iter(voices))]
    return voices[key]


@st.cache_data(max_entries=40, show_spinner=False)
def _samples(content: bytes) -> Samples:
    return read_audio(content)


def _read(name: str, content: bytes, *, free: bool) -> RecordedVoice:
    samples = _samples(content)
    return RecordedVoice(name, content, samples, quality(samples), free)


def choose(tab: str) -> ChosenVoice | None:
    """Show all voices and an upload, and return the chosen voice once its use is allowed.

    What is returned is what is shown: a voice that has disappeared is replaced by no other one.
    """
    _upload(tab)
    stored, session = library.voices_by_id(), kept()
    keys = _keys(stored, session)
    if not keys:
        return None

    key = choose_one(
        t("voice.choose"),
        {key: _label(key, stored, session) for key in keys},
        remembered=f"{tab}_chosen",
        first=st.session_state.get("newest_voice"),
        placeholder=t("voice.gone"),
    )
    library.show_problems()
    return None if key is None else _allowed(tab, key, stored, session)


def choose_everywhere(key: str) -> None:
    """Choose a new voice in every tab, at the next run of the script."""
    st.session_state["newest_voice"] = key
    for name in [name for name in st.session_state if str(name).endswith("_chosen")]:
        del st.session_state[name]


def chosen_key(tab: str) -> str | None:
    """Return the key of the voice that this tab has chosen; None before any choice."""
    chosen: str | None = st.session_state.get(f"{tab}_chosen", st.session_state.get("newest_voice"))
    return chosen


def _keys(stored: Mapping[str, LibraryVoice], session: Mapping[str, RecordedVoice]) -> list[str]:
    """Return the choices: the default voice where there may be one, the library, this session's."""
    return [*([DEFAULT] if has_default(stored) else []), *stored, *session]


def has_default(stored: Mapping[str, LibraryVoice]) -> bool:
    """Return whether a language can have a default voice: it is a built-in one."""
    return any(voice.kind == "builtin" for voice in stored.values())


def _label(
    key: str, stored: Mapping[str, LibraryVoice], session: Mapping[str, RecordedVoice]
) -> str:
    if key in stored:
        return library.label(stored[key])
    return session[key].name if key in session else t("voice.default")


def _allowed(
    tab: str, key: str, stored: Mapping[str, LibraryVoice], session: Mapping[str, RecordedVoice]
) -> ChosenVoice | None:
    """Show the voice and return it; None until its speaker has agreed."""
    if key == DEFAULT:
        st.caption(t("voice.default_why"))
        return ChosenVoice()
    if key in stored:
        library.listen(stored[key], tab)
        return ChosenVoice(id=key)
    show(session[key], tab)
    return ChosenVoice(recordings=(session[key].content,)) if consent(session[key], tab) else None


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


def show(voice: RecordedVoice, tab: str) -> None:
    """Show a voice's player, its waveform and what is doubtful about it."""
    st.audio(voice.content)
    seconds = number(voice.quality.seconds)
    draw_waveform(
        waveform_path(voice.samples), t("voice.waveform", seconds=seconds), key=f"{tab}_waveform"
    )
    found = voice.quality.complaints()
    measured = t(
        "voice.measured", seconds=seconds, noise=number(voice.quality.speech_over_noise_db, 0)
    )
    if not found:
        st.caption(f":green[✓ {t('voice.good')}] {measured}")
    for name in found:
        st.caption(f":orange[⚠ {t(f'quality.{name}')}] {measured}")


def _upload(tab: str) -> None:
    file = st.file_uploader(
        t("voice.upload"), type=FORMATS, key=f"{tab}_upload", help=t("voice.upload_help")
    )
    if file is None or st.session_state.get(f"{tab}_seen") == file.file_id:
        return
    try:
        with st.spinner(t("voice.reading")):
            choose_everywhere(keep(file.name, file.getvalue()).key)
    except BadAudio:
        st.error(t("refusal.unreadable_audio"), icon=":material/error:")
        return
    st.session_state[f"{tab}_seen"] = file.file_id  # last: a run of the script may end before

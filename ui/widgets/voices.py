"""The voices of a session: recorded or uploaded, held until the browser's tab is closed, usable in every tab."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import streamlit as st

from ui.audio.looks import Quality, quality, waveform_path
from ui.audio.reading import Samples, read_audio
from ui.errors import BadAudio
from ui.translations import number, t
from ui.widgets.drawing import draw_waveform

FORMATS: Final = ["wav", "mp3", "flac", "ogg", "m4a", "webm"]
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


def choose(tab: str) -> RecordedVoice | None:
    """Show the session's voices and an upload, and return the chosen voice once its use is allowed."""
    _upload(tab)
    voices = kept()
    if not voices:
        return None
    newest = st.session_state.get("newest_voice")
    key = st.selectbox(
        t("voice.choose"),
        list(voices),
        index=list(voices).index(newest) if newest in voices else 0,
        format_func=lambda key: voices[key].name,
        key=f"{tab}_voice_{newest}",  # a new voice is chosen at once, in every tab
    )
    voice = voices[key]
    show(voice, tab)
    return voice if consent(voice, tab) else None


def consent(voice: RecordedVoice, tab: str) -> bool:
    """Ask for the speaker's consent, once for each voice, and return whether it was given."""
    if voice.free:
        return True
    given: set[str] = st.session_state.setdefault("consents", set())
    tick = f"{tab}_consent_{voice.key}"
    st.session_state[tick] = voice.key in given  # given in another tab, perhaps
    st.checkbox(t("voice.consent"), key=tick, on_change=_note(given, voice.key, tick))
    if not st.session_state[tick]:
        st.caption(t("voice.consent_why"))
    return bool(st.session_state[tick])


def _note(given: set[str], key: str, tick: str) -> Callable[[], None]:
    def note() -> None:
        (given.add if st.session_state[tick] else given.discard)(key)

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
            st.session_state["newest_voice"] = keep(file.name, file.getvalue()).key
    except BadAudio:
        st.error(t("refusal.unreadable_audio"), icon=":material/error:")
        return
    st.session_state[f"{tab}_seen"] = file.file_id  # last: a run of the script may end before

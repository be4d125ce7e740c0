"""Voices of the service's library, as its HTTP API describes them (docs/http.md). Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

MOST_FILES: Final = 8  # of one voice
METHODS: Final = ("own voice", "written", "recorded")  # of a consent


@dataclass(frozen=True)
class LibraryVoice:
    """A voice that the service keeps, or that its engine brings along."""

    id: str  # what a request sends as `voice`
    name: str
    kind: str  # library, shared, builtin
    languages: tuple[str, ...] = ()  # ISO 639-1; empty where unknown, and for all of the engine's
    gender: str = ""  # of built-in voices: female, male, neutral
    description: str = ""
    speaker: str = ""  # who consented, and when (YYYY-MM-DD)
    consented_on: str = ""
    clips: int = 0
    seconds: float = 0.0  # of its recordings
    warnings: tuple[str, ...] = ()  # about its recordings

    @property
    def own(self) -> bool:
        """Return whether it can be renamed and deleted."""
        return self.kind == "library"

    def preview_language(self, tongue: str) -> str:
        """Return the language to preview it in: this one, if the voice has it or has no language."""
        if not self.languages or tongue in self.languages:
            return tongue
        return self.languages[0]


@dataclass(frozen=True)
class VoiceList:
    """The voices that requests can use."""

    voices: tuple[LibraryVoice, ...]
    complete: bool  # False: the library has more


@dataclass(frozen=True)
class ConsentForm:
    """The consent of the person who is recorded."""

    speaker: str
    statement: str
    date: str  # YYYY-MM-DD
    method: str  # one of METHODS

    def fields(self) -> dict[str, str]:
        """Return the form's field."""
        return {"consent": json.dumps(asdict(self))}


@dataclass(frozen=True)
class NewVoice:
    """A voice to store, with the speaker's consent."""

    name: str
    recordings: tuple[bytes, ...]  # one to eight audio files of one person
    consent: ConsentForm
    language: str = ""
    description: str = ""

    def fields(self) -> dict[str, str]:
        """Return the form's fields, without the files."""
        fields = {"name": self.name, "language": self.language, "description": self.description}
        return {name: value for name, value in fields.items() if value} | self.consent.fields()


def voice_of(body: Mapping[str, Any]) -> LibraryVoice:
    """Return the voice that a JSON object of the service describes."""
    language = body.get("language")
    consent = body.get("consent") or {}
    return LibraryVoice(
        id=str(body.get("id", "")),
        name=str(body.get("name", "")),
        kind=str(body.get("kind", "")),
        languages=(language,) if language else tuple(body.get("languages", ())),
        gender=str(body.get("gender", "")),
        description=str(body.get("description", "")),
        speaker=str(consent.get("speaker", "")),
        consented_on=str(consent.get("date", "")),
        clips=int(body.get("clips", 0)),
        seconds=float(body.get("audio_s", 0.0)),
        warnings=tuple(str(warning) for warning in body.get("warnings", ())),
    )

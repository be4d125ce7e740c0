"""The request of a user - a text, its voice and its options - and its form fields."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ui.text.headings import Heading
from ui.text.markup import is_ssml


@dataclass(frozen=True)
class ChosenVoice:
    """The voice of a request: an id or recordings; neither for the language's default voice."""

    id: str = ""  # of the library, or built-in
    recordings: tuple[bytes, ...] = ()  # instead: audio files of one person


@dataclass(frozen=True)
class Manner:
    """Options of a speech."""

    parameters: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None  # None: random
    pronunciations: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, str]:
        """Return the form's fields."""
        fields = {name: f"{value:g}" for name, value in self.parameters.items()}
        if self.seed is not None:
            fields["seed"] = str(self.seed)
        if self.pronunciations:
            fields["pronunciations"] = json.dumps(self.pronunciations, ensure_ascii=False)
        return fields


def text_type(text: str, voices: Mapping[str, str]) -> dict[str, str]:
    """Return the form's fields that state what kind of text it is. `voices`: of a dialogue."""
    if is_ssml(text):
        return {"text_type": "ssml"}
    if voices:
        return {"text_type": "dialogue", "voices": json.dumps(voices, ensure_ascii=False)}
    return {}


@dataclass(frozen=True)
class Order:
    """A text and its voice."""

    text: str
    language: str
    voice: ChosenVoice
    manner: Manner = field(default_factory=Manner)
    split: bool = True
    title: str = ""  # of a job
    chapters: tuple[Heading, ...] = ()  # of a job, in order
    voices: Mapping[str, str] = field(default_factory=dict)  # of a dialogue: name -> id

    def fields(self) -> dict[str, str]:
        """Return the form's fields, without the files."""
        fields = {
            "text": self.text,
            "language": self.language,
            "enable_text_splitting": str(self.split).lower(),
        }
        fields |= text_type(self.text, self.voices)
        if self.voice.id:
            fields["voice"] = self.voice.id
        if self.title:
            fields["title"] = self.title
        if self.chapters:
            chapters = [chapter._asdict() for chapter in self.chapters]
            fields["chapters"] = json.dumps(chapters, ensure_ascii=False)
        return fields | self.manner.fields()

"""The voice library: voices that are stored once, and named in requests."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from voice_cloning_client.errors import InvalidInput
from voice_cloning_client.speech import Clip, Value, form, form_value, read_clips, read_file
from voice_cloning_client.transport import Call, Transport

_MAX_VOICE_FILE = 512 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Consent:
    """The consent of the speaker whose voice is stored."""

    speaker: str
    statement: str
    date: str  # YYYY-MM-DD
    method: str  # "written", "recorded" or "own voice"


@dataclass(frozen=True)
class Voice:
    """A voice; fields that do not apply to its kind are empty."""

    id: str
    name: str
    kind: str  # library, shared or builtin
    language: str = ""
    description: str = ""
    gender: str = ""
    revision: int = 0
    clips: int = 0
    audio_s: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    consent: Consent | None = None
    created_at: str = ""
    changed_at: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Return the voice that a response describes."""
        consent = body.get("consent")
        texts = (
            "id",
            "name",
            "kind",
            "language",
            "description",
            "gender",
            "created_at",
            "changed_at",
        )
        return cls(
            **{name: str(body.get(name) or "") for name in texts},
            revision=int(body.get("revision") or 0),
            clips=int(body.get("clips") or 0),
            audio_s=float(body.get("audio_s") or 0.0),
            parameters=dict(body.get("parameters") or {}),
            warnings=tuple(body.get("warnings") or ()),
            languages=tuple(body.get("languages") or ()),
            consent=consent_of(consent) if isinstance(consent, Mapping) else None,
        )


def consent_of(body: Mapping[str, Any]) -> Consent:
    """Return the consent that a JSON object describes."""
    names = ("speaker", "statement", "date", "method")
    return Consent(**{name: str(body.get(name, "")) for name in names})


@dataclass(frozen=True)
class VoicePage:
    """Some voices, and where the next ones begin."""

    voices: tuple[Voice, ...]
    next: str | None  # `after` of the next page; None on the last one


class Voices:
    """The voice library of one client."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport

    async def page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        language: str = "",
        query: str = "",
        kind: str = "",
    ) -> VoicePage:
        """Return one page of voices. `query`: a part of the name."""
        given = {
            "after": after or "",
            "limit": "" if limit is None else str(limit),
            "language": language,
            "q": query,
            "kind": kind,
        }
        sent = {name: value for name, value in given.items() if value}
        body = await self._transport.json(Call("GET", "/voices", query=sent))
        voices = tuple(Voice.of(voice) for voice in body.get("voices", ()))
        return VoicePage(voices, body.get("next"))

    async def list(
        self, *, language: str = "", query: str = "", kind: str = ""
    ) -> AsyncGenerator[Voice, None]:
        """Yield all voices, page by page: own, shared, built-in."""
        after: str | None = None

        while True:
            page = await self.page(
                after=after, limit=200, language=language, query=query, kind=kind
            )
            for voice in page.voices:
                yield voice

            if not page.next or page.next == after:
                return
            after = page.next

    async def create(
        self,
        name: str,
        clips: Clip | Sequence[Clip],
        *,
        consent: Consent | None = None,
        language: str = "",
        description: str = "",
        parameters: Mapping[str, Value] | None = None,
    ) -> Voice:
        """Store a voice. It is not repeated if the connection breaks: list the voices to find out."""
        recordings = read_clips(clips)
        if not recordings:
            raise InvalidInput("clips are missing; send 1 to 8 recordings of one speaker")

        fields = {"name": name, "language": language, "description": description}
        if consent is not None:
            fields["consent"] = form_value(asdict(consent))
        if parameters:
            fields["parameters"] = form_value(parameters)
        fields = {key: value for key, value in fields.items() if value}
        call = self._upload("POST", "/voices", fields, recordings)
        return Voice.of(await self._transport.json(call))

    async def get(self, voice: str) -> Voice:
        """Return a voice by its id or name. Raises NotFound."""
        return Voice.of(await self._transport.json(Call("GET", _path(voice))))

    async def change(
        self,
        voice: str,
        *,
        name: str | None = None,
        description: str | None = None,
        language: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        consent: Consent | None = None,
    ) -> Voice:
        """Change what is given; what is None stays."""
        given: dict[str, Any] = {
            "name": name,
            "description": description,
            "language": language,
            "parameters": None if parameters is None else dict(parameters),
            "consent": None if consent is None else asdict(consent),
        }
        changes = {key: value for key, value in given.items() if value is not None}
        if not changes:
            raise InvalidInput("no change was given; send a name, a description, ...")
        return Voice.of(await self._transport.json(Call("PATCH", _path(voice), json=changes)))

    async def rename(self, voice: str, name: str) -> Voice:
        """Give a voice another name."""
        return await self.change(voice, name=name)

    async def replace_clips(
        self, voice: str, clips: Clip | Sequence[Clip], *, consent: Consent | None = None
    ) -> Voice:
        """Replace the recordings of a voice, which increments its revision."""
        fields = {} if consent is None else {"consent": form_value(asdict(consent))}
        call = self._upload("PUT", f"{_path(voice)}/clips", fields, read_clips(clips))
        return Voice.of(await self._transport.json(call))

    async def delete(self, voice: str) -> None:
        """Erase a voice, its recordings, and everything computed from them. Raises NotFound."""
        await self._transport.json(Call("DELETE", _path(voice)))

    async def preview(self, voice: str, *, language: str = "") -> bytes:
        """Return a short sentence in this voice, as WAV."""
        call = Call(
            "GET",
            f"{_path(voice)}/preview",
            query={"language": language} if language else {},
            response_s=self._transport.timeouts.first_audio_s,
        )
        return await self._transport.content(call)

    async def export(self, voice: str, *, computed: bool = False) -> bytes:
        """Return the voice with its recordings, as one file; `computed`: with what engines computed of it."""
        query = {"computed": "true"} if computed else {}
        call = Call("GET", f"{_path(voice)}/export", query=query)
        return await self._transport.content(call, _MAX_VOICE_FILE)

    async def import_(self, file: bytes | str | Path) -> Voice:
        """Store a voice that `export` returned, from its bytes or a file."""
        content = file if isinstance(file, bytes) else read_file(file)

        def body() -> aiohttp.FormData:
            made = aiohttp.FormData(default_to_multipart=True)
            made.add_field("file", content, filename="voice")
            return made

        call = Call(
            "POST",
            "/voices/import",
            form=body,
            repeatable=False,
            response_s=self._transport.timeouts.first_audio_s,
        )
        return Voice.of(await self._transport.json(call))

    def _upload(
        self, method: str, path: str, fields: Mapping[str, str], recordings: Sequence[bytes]
    ) -> Call:
        return Call(
            method,
            path,
            form=lambda: form(fields, recordings),
            repeatable=False,
            response_s=self._transport.timeouts.first_audio_s,
        )


def _path(voice: str) -> str:
    if not voice or voice in (".", ".."):
        raise InvalidInput("voice must not be empty, . or ..; send its name or id")
    return f"/voices/{quote(voice, safe='')}"

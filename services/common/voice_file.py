"""The portable file of a voice: a ZIP archive of `voice.json`, clips and computed voices. Pure.

docs/voice-file.md describes it.

`pack_voice` writes entries without compression, in a fixed order and with a fixed date, so that equal voices give equal
bytes. `unpack_voice` reads bytes that anyone can have made: it checks every size before it reads, and builds nothing
from names in the archive.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from services.common.audio.wav import HEADER_BYTES, wav_header
from services.common.voice_tensors import MOST_BYTES as MOST_COMPUTED_BYTES
from services.common.voice_tensors import unpack_tensors
from services.common.wire.failures import MalformedMessage
from services.common.wire.fields import MOST_CLIPS, ClipId, Language, VoiceName
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.voices import (
    MOST_COMPUTED,
    ComputedVoice,
    Consent,
    Voice,
    VoiceDescription,
    voice_id,
)

CONTENT_TYPE: Final = "application/zip"
SUFFIX: Final = ".voice.zip"  # of a file's name
MOST_CLIP_BYTES: Final = 4_000_000  # 30 s, the most that the edge stores, take 1.44 million
MOST_FILE_BYTES: Final = (
    MOST_CLIPS * MOST_CLIP_BYTES + MOST_COMPUTED * MOST_COMPUTED_BYTES + 256 * 1024
)

_FORMAT: Final = "voice-cloning-voice"
_VERSION: Final = 1
_DOCUMENT: Final = "voice.json"
_MOST_DOCUMENT_BYTES: Final = 64 * 1024
_MOST_ENTRIES: Final = 1 + MOST_CLIPS + MOST_COMPUTED
_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 60.0
_RATES_HZ: Final = (8_000, 48_000)

_END = struct.Struct("<4s4H2LH")  # end of central directory record (PKWARE APPNOTE.TXT 4.3.16)
_END_COMMENT_BYTES: Final = 65_535
_END_SIGNATURE: Final = b"PK\x05\x06"
_ZIP64_LOCATOR: Final = (b"PK\x06\x07", 20)  # signature and size; it precedes the end record
_MOST_DIRECTORY_BYTES: Final = 16 * 1024
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 0x1  # flag of an entry
_FIRST_DATE: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644 << 16
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class UnpackedVoice(NamedTuple):
    """A voice for `VoiceLibrary.create`."""

    draft: Voice  # its id and times are placeholders
    wavs: tuple[bytes, ...]  # one for each of the draft's clips, mono 16-bit WAV
    computed: tuple[bytes, ...] = ()  # one for each of its computed voices


class _Listed(Struct, frozen=True, kw_only=True):
    file: Annotated[str, Meta(max_length=24)]
    sha256: ClipId


class _Header(Struct, frozen=True, kw_only=True):
    format: str
    version: int


class _Document(Struct, frozen=True, kw_only=True):
    format: str = _FORMAT
    version: int = _VERSION
    name: VoiceName
    language: Language | None = None
    description: VoiceDescription = ""
    consent: Consent | None = None
    parameters: Parameters = AS_USUAL
    clips: Annotated[tuple[_Listed, ...], Meta(max_length=MOST_CLIPS)]
    computed: Annotated[tuple[_Listed, ...], Meta(max_length=MOST_COMPUTED)] | UnsetType = UNSET


def pack_voice(voice: Voice, wavs: Sequence[bytes], computed: Sequence[bytes] = ()) -> bytes:
    """Return the file of a voice with these clips and computed voices. Equal arguments give equal bytes."""
    clips = {_clip_file(number): wav for number, wav in enumerate(wavs, 1)}
    voices = {_computed_file(number): each for number, each in enumerate(computed, 1)}
    document = _Document(
        name=voice.name,
        language=voice.language,
        description=voice.description,
        consent=voice.consent,
        parameters=voice.parameters,
        clips=_listing(clips),
        computed=_listing(voices) or UNSET,
    )
    described = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    entries = {_DOCUMENT: described, **clips, **voices}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in entries.items():
            archive.writestr(_entry(name), entry)
    return content.getvalue()


def unpack_voice(content: bytes, tenant: str) -> UnpackedVoice:
    """Return the voice in a file, as a draft of this tenant's library.

    Raises MalformedMessage, which states what is wrong and quotes nothing of the file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(_bounded(content))) as archive:
            return _unpacked(archive, tenant)
    except _UNREADABLE:
        raise MalformedMessage(
            "the voice file is damaged or not a ZIP archive; send an exported voice"
        ) from None


def _unpacked(archive: zipfile.ZipFile, tenant: str) -> UnpackedVoice:
    entries = {entry.filename: entry for entry in archive.infolist()}
    if _DOCUMENT not in entries:
        raise MalformedMessage(f"the voice file contains no {_DOCUMENT}; send an exported voice")
    document = _document(_read(archive, entries[_DOCUMENT], _MOST_DOCUMENT_BYTES))
    _check_names([entry.filename for entry in archive.infolist()], document)
    wavs = tuple(_clip(archive, entries[clip.file], clip) for clip in document.clips)
    computed = tuple(
        _computed(archive, entries[each.file], each) for each in document.computed or ()
    )
    draft = draft_voice(tenant, document.name, computed)
    described = msgspec.structs.replace(
        draft,
        clips=tuple(clip.sha256 for clip in document.clips),
        clip_bytes=draft.clip_bytes + sum(map(len, wavs)),
        audio_s=sum(map(_seconds, wavs)),
        language=document.language,
        description=document.description,
        consent=document.consent,
        parameters=document.parameters,
    )
    return UnpackedVoice(described, wavs, computed)


def draft_voice(tenant: str, name: str, computed: Sequence[bytes]) -> Voice:
    """Return a voice without clips, for `VoiceLibrary.create`. Raises MalformedMessage."""
    return Voice(
        voice=voice_id(0, 0),
        tenant=tenant,
        name=name,
        revision=1,
        state="creating",
        clips=(),
        clip_bytes=sum(map(len, computed)),
        audio_s=0.0,
        created_unix_ms=0,
        changed_unix_ms=0,
        computed=tuple(map(_described, computed)) or UNSET,
    )


def _described(computed: bytes) -> ComputedVoice:
    voice = unpack_tensors(computed)
    return ComputedVoice(file=sha256(computed).hexdigest(), engine=voice.engine, model=voice.model)


def _listing(files: Mapping[str, bytes]) -> tuple[_Listed, ...]:
    return tuple(
        _Listed(file=name, sha256=sha256(content).hexdigest()) for name, content in files.items()
    )


def _bounded(content: bytes) -> bytes:
    """Return the archive, if it and its directory are small enough to be parsed."""
    if len(content) > MOST_FILE_BYTES:
        raise MalformedMessage(
            f"the voice file has {len(content)} bytes; send at most {MOST_FILE_BYTES}"
        )
    end = content.rfind(_END_SIGNATURE, max(0, len(content) - _END.size - _END_COMMENT_BYTES))
    if end < 0:
        raise zipfile.BadZipFile
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(content, end)
    signature, size = _ZIP64_LOCATOR
    zip64 = content[max(0, end - size) :].startswith(signature)
    if zip64 or entries > _MOST_ENTRIES or directory_bytes > _MOST_DIRECTORY_BYTES:
        raise MalformedMessage(
            f"the voice file has too many entries; send {_DOCUMENT}, up to {MOST_CLIPS} clips and "
            f"up to {MOST_COMPUTED} computed voices"
        )
    return content


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most_bytes: int) -> bytes:
    """Return the bytes of an entry that `_check_names` allows or is the document."""
    name = entry.filename
    if entry.file_size > most_bytes:
        raise MalformedMessage(f"{name} has more than {most_bytes} bytes; send a smaller one")
    if entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED:
        raise MalformedMessage(f"{name} is encrypted or compressed; send a ZIP without either")
    with archive.open(entry) as file:
        content = file.read(most_bytes + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile
    return content


def _document(content: bytes) -> _Document:
    try:
        header = msgspec.json.decode(content, type=_Header)
        if header.format != _FORMAT:
            raise MalformedMessage(f"format in {_DOCUMENT} must be {_FORMAT}")
        if header.version != _VERSION:
            raise MalformedMessage(
                f"version in {_DOCUMENT} must be {_VERSION}; export the voice with this release"
            )
        return msgspec.json.decode(content, type=_Document)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"{_DOCUMENT}: {str(error)[:300]}") from None
    except (ValueError, RecursionError):
        raise MalformedMessage(f"{_DOCUMENT} is not JSON; send an exported voice") from None


def _check_names(names: Sequence[str], document: _Document) -> None:
    clips = [_clip_file(number) for number in range(1, len(document.clips) + 1)]
    voices = [_computed_file(number) for number in range(1, len(document.computed or ()) + 1)]
    for field, entries, expected in (
        ("clips", document.clips, clips),
        ("computed", document.computed or (), voices),
    ):
        if [entry.file for entry in entries] != expected:
            raise MalformedMessage(
                f"{field} in {_DOCUMENT} must have the files {', '.join(expected)}"
            )
        if len({entry.sha256 for entry in entries}) != len(expected):
            raise MalformedMessage(f"{field} in {_DOCUMENT} must differ; two have the same sha256")
    if not (clips or voices):
        raise MalformedMessage(f"{_DOCUMENT} lists no clips and no computed voices; add one")
    if sorted(names) != sorted([_DOCUMENT, *clips, *voices]):
        raise MalformedMessage(
            f"the voice file must contain {', '.join([_DOCUMENT, *clips, *voices])} "
            "and no other file"
        )


def _clip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, clip: _Listed) -> bytes:
    wav = _read_listed(archive, entry, clip, MOST_CLIP_BYTES)
    if not _is_wav(wav):
        raise MalformedMessage(
            f"{clip.file} must be a WAV file of mono 16-bit PCM with a 44-byte header, at "
            f"{_RATES_HZ[0]} to {_RATES_HZ[1]} Hz"
        )
    if not _SHORTEST_S <= _seconds(wav) <= _LONGEST_S:
        raise MalformedMessage(
            f"{clip.file} must be {_SHORTEST_S:g} to {_LONGEST_S:g} s long; send another recording"
        )
    return wav


def _computed(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, listed: _Listed) -> bytes:
    return _read_listed(archive, entry, listed, MOST_COMPUTED_BYTES)


def _read_listed(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, listed: _Listed, most_bytes: int
) -> bytes:
    """Return the content of an entry, which has the digest in the document."""
    content = _read(archive, entry, most_bytes)
    if sha256(content).hexdigest() != listed.sha256:
        raise MalformedMessage(f"{listed.file} is damaged: its sha256 is not that in {_DOCUMENT}")
    return content


def _is_wav(content: bytes) -> bool:
    """Return whether this is a WAV file as the edge stores clips: the shortest header, then samples to the end."""
    if len(content) <= HEADER_BYTES or len(content) % 2:
        return False
    rate_hz = _rate_hz(content)
    low, high = _RATES_HZ
    return low <= rate_hz <= high and content.startswith(
        wav_header(sample_rate_hz=rate_hz, data_bytes=len(content) - HEADER_BYTES)
    )


def _rate_hz(wav: bytes) -> int:
    return int.from_bytes(wav[24:28], "little")


def _seconds(wav: bytes) -> float:
    return (len(wav) - HEADER_BYTES) / 2 / _rate_hz(wav)


def _clip_file(number: int) -> str:
    return f"clip-{number}.wav"


def _computed_file(number: int) -> str:
    return f"computed-{number}.safetensors"


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIRST_DATE)
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = _REGULAR_FILE
    return entry

"""Voices as portable files."""

import io
import json
import zipfile
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.wav import wav_header
from services.common.voice_file import MOST_FILE_BYTES, draft_voice, pack_voice, unpack_voice
from services.common.voice_tensors import VoiceTensors, pack_tensors
from services.common.wire.failures import MalformedMessage
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.voices import Consent, Voice
from tests.support.messages import CONSENT, STORED_VOICE

TENANT = "acme"


def wav(seconds: float = 1.0, *, rate_hz: int = 8_000, level: int = 0) -> bytes:
    pcm = level.to_bytes(2, "little", signed=True) * round(seconds * rate_hz)
    return wav_header(sample_rate_hz=rate_hz, data_bytes=len(pcm)) + pcm


WAV = wav()
PACKED = pack_voice(STORED_VOICE, [WAV])


def document(**changes: Any) -> dict[str, Any]:
    clip = {"file": "clip-1.wav", "sha256": sha256(WAV).hexdigest()}
    base = {"format": "voice-cloning-voice", "version": 1, "name": "Anna", "clips": [clip]}
    return base | changes


def archive(described: object, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        file.writestr("voice.json", json.dumps(described))
        for name, entry in files.items():
            file.writestr(name, entry)
    return content.getvalue()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
voices = st.builds(
    lambda name, description, language, consent, parameters: msgspec.structs.replace(
        STORED_VOICE,
        name=name,
        description=description,
        language=language,
        consent=consent,
        parameters=parameters,
    ),
    name=st.sampled_from(["Anna", "Zoë", "声", "J. Doe (2)", "a"]),
    description=texts,
    language=st.sampled_from([None, "fr", "zh"]),
    consent=st.none()
    | st.builds(
        Consent,
        speaker=texts.filter(bool),
        statement=texts.filter(bool),
        date=st.just("2026-02-01"),
        method=st.just("written"),
    ),
    parameters=st.sampled_from([AS_USUAL, Parameters(speed=1.5), Parameters(loudness_lufs="off")]),
)
clips = st.lists(
    st.builds(wav, st.sampled_from([1.0, 2.5]), level=st.integers(-32768, 32767)),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(voices, clips)
@settings(max_examples=40)
def test_a_packed_voice_is_unpacked_as_it_was(voice: Voice, wavs: list[bytes]) -> None:
    content = pack_voice(voice, wavs)
    assert pack_voice(voice, wavs) == content
    draft, unpacked, computed = unpack_voice(content, TENANT)
    assert (list(unpacked), computed) == (wavs, ())
    assert draft.tenant == TENANT
    assert draft.clips == tuple(sha256(each).hexdigest() for each in wavs)
    assert draft.clip_bytes == sum(map(len, wavs))
    assert draft.audio_s == pytest.approx(sum((len(each) - 44) / 16_000 for each in wavs))
    for field in ("name", "description", "language", "consent", "parameters"):
        assert getattr(draft, field) == getattr(voice, field)
    assert draft.uploaded_by == ""
    assert pack_voice(draft, unpacked) == content


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unpack_voice(content, TENANT)


@given(st.data())
@settings(max_examples=300)
def test_a_file_with_changed_bytes_is_read_or_refused(data: st.DataObject) -> None:
    end = len(PACKED)
    outside_of_samples = st.integers(0, 1_200) | st.integers(end - 400, end - 1)
    content = bytearray(PACKED)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(outside_of_samples)] = data.draw(st.integers(0, 255))
    try:
        draft, wavs, _ = unpack_voice(bytes(content), TENANT)
    except MalformedMessage:
        return
    assert wavs == (WAV,)
    assert draft.clips == (sha256(WAV).hexdigest(),)


@given(st.integers(0, len(PACKED) - 1))
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(MalformedMessage, match="send an exported voice"):
        unpack_voice(PACKED[:length], TENANT)


def test_a_file_repacked_with_compression_is_read() -> None:
    content = archive(document(), {"clip-1.wav": WAV}, zipfile.ZIP_DEFLATED)
    assert unpack_voice(content, TENANT).wavs == (WAV,)
    described = document(consent=msgspec.to_builtins(CONSENT), unknown="ignored")
    assert unpack_voice(archive(described, {"clip-1.wav": WAV}), TENANT).draft.consent == CONSENT


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(method: int) -> None:
    with pytest.raises(MalformedMessage, match="compressed"):
        unpack_voice(archive(document(), {"clip-1.wav": WAV}, method), TENANT)


@pytest.mark.parametrize(
    "name", ["../clip-1.wav", "/clip-1.wav", "CLIP-1.WAV", "folder/clip-1.wav", "clip-2.wav"]
)
def test_other_names_are_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(MalformedMessage, match="and no other file") as refused:
        unpack_voice(archive(document(), {name: WAV}), TENANT)
    with pytest.raises(MalformedMessage, match="and no other file"):
        unpack_voice(archive(document(), {"clip-1.wav": WAV, name: WAV}), TENANT)
    assert name not in str(refused.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused() -> None:
    content = io.BytesIO(archive(document(), {"clip-1.wav": WAV}))
    with zipfile.ZipFile(content, "a") as file:
        file.writestr("clip-1.wav", wav(2.0))
    with pytest.raises(MalformedMessage, match="and no other file"):
        unpack_voice(content.getvalue(), TENANT)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": "something"}, "format in voice.json must be voice-cloning-voice"),
        ({"version": 2}, "version in voice.json must be 1"),
        ({"version": "1"}, "version"),
        ({"name": "a/b"}, r"\$\.name"),
        ({"name": None}, r"\$\.name"),
        ({"language": "french"}, r"\$\.language"),
        ({"description": "x" * 501}, r"\$\.description"),
        ({"consent": {"speaker": "A"}}, r"\$\.consent"),
        ({"parameters": {"speed": 9}}, r"\$\.parameters\.speed"),
        ({"parameters": {"colour": 1}}, "colour"),
        ({"clips": []}, "no clips and no computed voices"),
        ({"clips": [{"file": "x", "sha256": "0" * 64}] * 9}, r"\$\.clips"),
        ({"clips": [{"file": "clip-2.wav", "sha256": "0" * 64}]}, "clip-1.wav"),
        ({"clips": [{"file": "../clip-1.wav", "sha256": "0" * 64}]}, "clip-1.wav"),
        ({"clips": [{"file": "clip-1.wav", "sha256": "0" * 64}]}, "clip-1.wav is damaged"),
        ({"clips": [{"file": "clip-1.wav", "sha256": "no"}]}, r"sha256"),
    ],
)
def test_the_field_at_fault_is_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        unpack_voice(archive(document(**changes), {"clip-1.wav": WAV}), TENANT)


def test_a_missing_or_unreadable_document_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("clip-1.wav", WAV)
    with pytest.raises(MalformedMessage, match=r"contains no voice\.json"):
        unpack_voice(content.getvalue(), TENANT)
    for text in ("", "{", "[" * 30_000, "\x00", '{"name": "\\ud800"}'):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.writestr("voice.json", text)
        with pytest.raises(MalformedMessage, match=r"voice\.json"):
            unpack_voice(content.getvalue(), TENANT)


@pytest.mark.parametrize(
    "clip",
    [
        b"",
        b"first clip",
        WAV[:-1],
        WAV + b"\0\0",
        WAV[:20] + b"\x03" + WAV[21:],  # floating point
        WAV[:22] + b"\x02" + WAV[23:],  # stereo
        wav(2.0, rate_hz=4_000),
        wav(1.0, rate_hz=96_000),
    ],
)
def test_a_clip_that_the_edge_would_not_store_is_refused(clip: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"clip-1\.wav must be a WAV file"):
        unpack_voice(pack_voice(STORED_VOICE, [clip]), TENANT)


@pytest.mark.parametrize("seconds", [0.5, 61.0])
def test_a_clip_that_is_too_short_or_long_is_refused(seconds: float) -> None:
    with pytest.raises(MalformedMessage, match=r"clip-1\.wav must be 1 to 60 s long"):
        unpack_voice(pack_voice(STORED_VOICE, [wav(seconds)]), TENANT)


def test_equal_clips_are_refused() -> None:
    with pytest.raises(MalformedMessage, match="must differ"):
        unpack_voice(pack_voice(STORED_VOICE, [WAV, WAV]), TENANT)


def test_sizes_are_bounded_before_anything_is_read() -> None:
    with pytest.raises(MalformedMessage, match="send at most"):
        unpack_voice(bytes(MOST_FILE_BYTES + 1), TENANT)
    for name in ("voice.json", "clip-1.wav"):
        files = {"voice.json": json.dumps(document()).encode(), "clip-1.wav": WAV}
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
            for each, entry in (files | {name: bytes(50_000_000)}).items():
                file.writestr(each, entry)
        with pytest.raises(MalformedMessage, match="bytes; send a smaller one"):
            unpack_voice(content.getvalue(), TENANT)


def test_an_entry_larger_than_its_stated_size_is_refused() -> None:
    content = bytearray(
        archive(document(), {"clip-1.wav": WAV + bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    )
    stated = (len(WAV) + 5_000_000).to_bytes(4, "little")
    while (offset := content.find(stated)) >= 0:
        content[offset : offset + 4] = len(WAV).to_bytes(4, "little")
    with pytest.raises(MalformedMessage, match="damaged"):
        unpack_voice(bytes(content), TENANT)


@pytest.mark.parametrize("count", [13, 70_000])  # the second needs ZIP64
def test_a_directory_with_many_entries_is_refused(count: int) -> None:
    files = {f"{number}": b"" for number in range(count)}
    with pytest.raises(MalformedMessage, match="too many entries"):
        unpack_voice(archive(document(), files), TENANT)


def test_an_encrypted_entry_is_refused() -> None:
    content = bytearray(PACKED)
    central = content.rfind(b"PK\x01\x02", 0, content.rfind(b"PK\x01\x02"))
    content[central + 8] |= 1
    with pytest.raises(MalformedMessage, match="encrypted"):
        unpack_voice(bytes(content), TENANT)


COMPUTED = pack_tensors(VoiceTensors("tone", "1", {"digest": np.arange(4, dtype=np.float32)}))


def test_computed_voices_travel_with_the_clips_or_without_any() -> None:
    for wavs in ((WAV,), ()):
        draft, unpacked, computed = unpack_voice(pack_voice(STORED_VOICE, wavs, [COMPUTED]), TENANT)
        assert (unpacked, computed) == (wavs, (COMPUTED,))
        assert [(each.engine, each.model) for each in draft.computed or ()] == [("tone", "1")]
        assert draft.clip_bytes == sum(map(len, (*wavs, COMPUTED)))
        assert draft.objects == tuple(sha256(each).hexdigest() for each in (*wavs, COMPUTED))


def test_a_file_of_a_computed_voice_alone_is_made_of_its_draft() -> None:
    draft = draft_voice(TENANT, "Anna", [COMPUTED])
    assert unpack_voice(pack_voice(draft, [], [COMPUTED]), TENANT).draft == draft


def test_a_damaged_or_unknown_computed_voice_is_refused() -> None:
    listed = [{"file": "computed-1.safetensors", "sha256": sha256(WAV).hexdigest()}]
    files = {"clip-1.wav": WAV, "computed-1.safetensors": COMPUTED}
    with pytest.raises(MalformedMessage, match=r"computed-1\.safetensors is damaged"):
        unpack_voice(archive(document(computed=listed), files), TENANT)
    with pytest.raises(MalformedMessage, match="not a safetensors file"):
        unpack_voice(pack_voice(STORED_VOICE, [WAV], [b"\x80\x04pickle"]), TENANT)
    with pytest.raises(MalformedMessage, match=r"more than \d+ bytes"):
        unpack_voice(pack_voice(STORED_VOICE, [WAV], [bytes(1024 * 1024 + 1)]), TENANT)
    described = document(computed=[{"file": "../x", "sha256": sha256(COMPUTED).hexdigest()}])
    with pytest.raises(MalformedMessage, match=r"computed in voice\.json must have the files"):
        unpack_voice(archive(described, {"clip-1.wav": WAV, "../x": COMPUTED}), TENANT)

"""Files of every kind, whole, odd and broken, by the real encoders and decoders."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.decoding import Block, decode, mixing
from services.http_edge.intake.reference.selection import select
from tests.support import sounds

SECONDS = 5.0


def likeness(decoded: Clip, sound: Samples, rate_hz: int = 24_000) -> float:
    """Return how well the decoded audio matches, 0 to 1, at whatever delay the codec has."""
    wanted = sounds.soxr.resample(sound, rate_hz, 24_000)
    size = 2 * max(len(decoded.samples), len(wanted))
    spectra = np.fft.rfft(decoded.samples, size) * np.conj(np.fft.rfft(wanted, size))
    norm = np.linalg.norm(decoded.samples) * np.linalg.norm(wanted)
    return float(np.abs(np.fft.irfft(spectra, size)).max() / norm)


SNDFILE = [
    ("WAV", "PCM_U8", 0.99),
    ("WAV", "PCM_16", 0.999),
    ("WAV", "PCM_24", 0.999),
    ("WAV", "PCM_32", 0.999),
    ("WAV", "FLOAT", 0.999),
    ("WAV", "DOUBLE", 0.999),
    ("WAV", "ULAW", 0.99),
    ("FLAC", "PCM_16", 0.999),
    ("FLAC", "PCM_24", 0.999),
    ("AIFF", "PCM_16", 0.999),
    ("OGG", "VORBIS", 0.98),
    ("OGG", "OPUS", 0.98),
    ("MP3", "MPEG_LAYER_III", 0.98),
]


@pytest.mark.parametrize(("kind", "subtype", "least"), SNDFILE)
def test_every_format_decodes_to_the_encoded_audio(
    tmp_path: Path, kind: str, subtype: str, least: float
) -> None:
    sound = sounds.speech(SECONDS)
    decoded = decode(sounds.write(tmp_path / "upload", sound, 24_000, kind, subtype))
    assert decoded.sample_rate_hz == 24_000
    assert decoded.seconds == pytest.approx(SECONDS, abs=0.15)
    assert likeness(decoded, sound) > least


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [
        ("webm", "libopus", 48_000),
        ("ipod", "aac", 44_100),
        ("mp4", "aac", 24_000),
        ("matroska", "libmp3lame", 44_100),
    ],
)
def test_containers_of_browsers_and_phones_decode_to_the_encoded_audio(
    tmp_path: Path, container: str, codec: str, rate_hz: int
) -> None:
    sound = sounds.speech(SECONDS, rate_hz)
    decoded = decode(sounds.encode(tmp_path / "upload", sound, rate_hz, container, codec))
    assert decoded.seconds == pytest.approx(SECONDS, abs=0.15)
    assert likeness(decoded, sound, rate_hz) > 0.97


@pytest.mark.parametrize(
    "rate_hz", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000]
)
def test_every_sample_rate_decodes_to_the_same_audio(tmp_path: Path, rate_hz: int) -> None:
    sound = sounds.speech(SECONDS, rate_hz)
    decoded = decode(sounds.write(tmp_path / "upload", sound, rate_hz, "FLAC", "PCM_16"))
    assert decoded.seconds == pytest.approx(SECONDS, abs=0.001)
    assert likeness(decoded, sound, rate_hz) > 0.999


def test_a_name_that_lies_makes_no_difference(tmp_path: Path) -> None:
    plain = decode(sounds.write(tmp_path / "upload", sounds.speech(SECONDS), 24_000, "FLAC"))
    liar = decode(sounds.write(tmp_path / "x.mp3.exe", sounds.speech(SECONDS), 24_000, "FLAC"))
    assert np.array_equal(plain.samples, liar.samples)


def test_two_channels_are_averaged(tmp_path: Path) -> None:
    voice, hiss = sounds.speech(SECONDS), 0.05 * sounds.noise(SECONDS)
    decoded = decode(
        sounds.write(
            tmp_path / "upload", np.stack([voice + hiss, voice - hiss], axis=1), 24_000, "WAV"
        )
    )
    assert likeness(decoded, voice) > 0.9999


def test_channels_of_opposite_phase_do_not_cancel(tmp_path: Path) -> None:
    voice = sounds.speech(SECONDS)
    decoded = decode(
        sounds.write(tmp_path / "upload", np.stack([voice, -0.99 * voice], axis=1), 24_000, "WAV")
    )
    assert likeness(decoded, voice) > 0.999
    assert np.abs(decoded.samples).max() == pytest.approx(np.abs(voice).max(), rel=0.01)


def test_of_six_channels_the_one_that_speaks_is_taken(tmp_path: Path) -> None:
    frames = 0.02 * np.stack([sounds.noise(SECONDS, seed=seed) for seed in range(6)], axis=1)
    frames[:, 2] = sounds.speech(SECONDS)
    decoded = decode(sounds.write(tmp_path / "upload", frames, 24_000, "FLAC"))
    assert likeness(decoded, sounds.speech(SECONDS)) > 0.999


def test_six_channels_of_a_film_are_taken_too(tmp_path: Path) -> None:
    frames = np.zeros((round(48_000 * SECONDS), 6), dtype=np.float32)
    frames[:, 2] = sounds.speech(SECONDS, 48_000)
    decoded = decode(sounds.encode(tmp_path / "upload", frames, 48_000, "mp4", "aac"))
    assert likeness(decoded, frames[:, 2], 48_000) > 0.97


def test_how_channels_are_mixed_is_decided_for_the_whole_file() -> None:
    voice = sounds.speech(4)
    frames = np.stack([voice, np.concatenate([-voice[:48_000], 0.5 * voice[48_000:]])], axis=1)
    whole = mixing([Block(frames, 24_000)])
    assert np.allclose(mixing([Block(part, 24_000) for part in np.array_split(frames, 40)]), whole)


def test_tags_around_an_mp3_are_passed_over(tmp_path: Path) -> None:
    mp3 = sounds.write(tmp_path / "upload", sounds.speech(SECONDS), 24_000, "MP3").read_bytes()
    picture = (
        b"APIC" + (100_000).to_bytes(4, "big") + b"\0\0" + np.random.default_rng(1).bytes(100_000)
    )
    size = bytes(len(picture) >> shift & 0x7F for shift in (21, 14, 7, 0))
    tagged = tmp_path / "tagged"
    tagged.write_bytes(b"ID3\x03\0\0" + size + picture + mp3 + b"TAG" + b"song".ljust(125, b"\0"))
    decoded = decode(tagged)
    assert decoded.seconds == pytest.approx(SECONDS, abs=0.15)
    assert likeness(decoded, sounds.speech(SECONDS)) > 0.97


def webm(path: Path, sound: Samples) -> Path:
    return sounds.encode(path, sound, 48_000, "webm", "libopus")


def of_kind(kind: str) -> Callable[[Path, Samples], Path]:
    return lambda path, sound: sounds.write(path, sound, 48_000, kind)


@pytest.mark.parametrize(
    "make", [of_kind("WAV"), of_kind("FLAC"), of_kind("OGG"), of_kind("MP3"), webm]
)
def test_a_file_that_was_cut_gives_what_came_before_the_cut(
    tmp_path: Path, make: Callable[[Path, Samples], Path]
) -> None:
    whole = make(tmp_path / "whole", sounds.speech(20, 48_000)).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: len(whole) // 2 - 77])
    assert 7 < decode(cut).seconds < 13


def test_a_webm_with_damage_in_its_middle_gives_the_rest(tmp_path: Path) -> None:
    content = bytearray(webm(tmp_path / "upload", sounds.speech(20, 48_000)).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    (tmp_path / "upload").write_bytes(content)
    assert decode(tmp_path / "upload").seconds > 9


def test_float_samples_far_over_full_scale_become_the_same_clip(tmp_path: Path) -> None:
    sound = sounds.speech(SECONDS)
    decoded = decode(sounds.write(tmp_path / "upload", sound * 20_000, 24_000, "WAV", "FLOAT"))
    stored = select(decoded)
    assert np.abs(stored.clip.samples).max() == pytest.approx(1.0)
    assert likeness(decoded, sound) > 0.9999


def test_only_the_first_ten_minutes_are_looked_at(tmp_path: Path) -> None:
    decoded = decode(sounds.write(tmp_path / "upload", sounds.speech(700, 8_000), 8_000, "WAV"))
    assert 600 <= decoded.seconds < 610


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("voice.wav", sounds.speech(4).tobytes())
    return path


def picture(path: Path) -> Path:
    png = (
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
    path.write_bytes(bytes.fromhex(png))
    return path


def content(value: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(value)
        return path

    return make


def cut_m4a(path: Path) -> Path:
    """Return a phone's recording whose index, which comes last, was lost."""
    whole = sounds.encode(path, sounds.speech(10, 44_100), 44_100, "ipod", "aac").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


NO_AUDIO: dict[str, Callable[[Path], Path]] = {
    "empty": content(b""),
    "text": content(b"It is a truth universally acknowledged, that a single man\n" * 500),
    "random bytes": content(np.random.default_rng(1).bytes(300_000)),
    "zip": zipped,
    "picture": picture,
    "film without sound": sounds.silent_film,
    "M4A without its index": cut_m4a,
    "WAV header alone": lambda path: sounds.write(path, sounds.silence(0), 24_000, "WAV"),
    "a playlist": content(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"),
    "a list of files to join": content(b"ffconcat version 1.0\nfile '/etc/hostname'\n"),
}


@pytest.mark.parametrize("kind", NO_AUDIO)
def test_what_is_no_audio_is_refused_and_the_refusal_names_the_formats(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(UnusableReference, match=r"send .*WAV, FLAC, MP3, OGG, WebM or M4A"):
        decode(NO_AUDIO[kind](tmp_path / "upload"))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_damage_anywhere_yields_finite_audio_or_a_refusal(
    tmp_path: Path, kind: str, seed: int
) -> None:
    damaged = bytearray(
        sounds.write(tmp_path / "upload", sounds.speech(4), 24_000, kind).read_bytes()
    )
    random = np.random.default_rng(seed)
    for place in random.integers(0, len(damaged), 30):
        damaged[place] = random.integers(256)
    (tmp_path / "upload").write_bytes(damaged)
    try:
        decoded = decode(tmp_path / "upload")
    except UnusableReference:
        return
    assert np.isfinite(decoded.samples).all()


@pytest.mark.parametrize("rate_hz", [1, 4_000, 2_000_000])
def test_a_rate_that_makes_no_sense_is_refused(tmp_path: Path, rate_hz: int) -> None:
    with pytest.raises(UnusableReference, match="samples a second"):
        decode(sounds.write(tmp_path / "upload", sounds.speech(4), rate_hz, "WAV"))


def test_more_channels_than_any_recording_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableReference, match="200 channels"):
        decode(
            sounds.write(
                tmp_path / "upload", np.zeros((1_000, 200), dtype=np.float32), 24_000, "WAV"
            )
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    sound = sounds.speech(4).copy()
    sound[50_000] = value
    with pytest.raises(UnusableReference, match="not numbers"):
        decode(sounds.write(tmp_path / "upload", sound, 24_000, "WAV", "FLOAT"))


def test_the_formats_that_are_tested_are_those_that_libsndfile_writes() -> None:
    assert {kind for kind, _, _ in SNDFILE} <= set(soundfile.available_formats())

"""Files that end, lie or break in ways that real recorders and networks cause."""

from pathlib import Path

import av
import numpy as np
import pytest

from services.http_edge.intake.reference.decoding import decode
from services.http_edge.intake.reference.files import tracks_of
from tests.support import sounds

SECONDS = 9.5


def vbr_mp3(path: Path, rate_hz: int, quality: int) -> Path:
    """Write an MP3 of variable bit rate that does not tell its length."""
    with (
        path.open("wb") as file,
        av.open(file, "w", format="mp3", options={"write_xing": "0"}) as output,
    ):
        stream = output.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        stream.codec_context.qscale = True
        stream.codec_context.global_quality = quality * 118
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(
            sounds.speech(SECONDS, rate_hz)[None], format="fltp", layout="mono"
        )
        frame.sample_rate = rate_hz
        fifo.write(frame)
        while (block := fifo.read(1152, partial=True)) is not None:
            output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("quality", [9, 5, 0])
@pytest.mark.parametrize("rate_hz", [44_100, 24_000])
def test_an_mp3_that_does_not_tell_its_length_is_read_to_its_end(
    tmp_path: Path, rate_hz: int, quality: int
) -> None:
    decoded = decode(vbr_mp3(tmp_path / "upload", rate_hz, quality))
    assert decoded.seconds == pytest.approx(SECONDS, abs=0.2)


@pytest.mark.parametrize(
    "before",
    [bytes(1), bytes(5_000), bytes(200_000), np.random.default_rng(1).bytes(30_000)],
    ids=len,
)
def test_what_stands_before_an_mp3_is_passed_over(tmp_path: Path, before: bytes) -> None:
    path = vbr_mp3(tmp_path / "upload", 44_100, 9)
    path.write_bytes(before + path.read_bytes())
    assert decode(path).seconds == pytest.approx(SECONDS, abs=0.3)


def test_two_concatenated_mp3_files_are_read_to_the_end_though_the_first_declares_its_length(
    tmp_path: Path,
) -> None:
    path = sounds.encode(
        tmp_path / "upload", sounds.speech(SECONDS, 44_100), 44_100, "mp3", "libmp3lame"
    )
    path.write_bytes(2 * path.read_bytes())
    assert decode(path).seconds == pytest.approx(2 * SECONDS, abs=0.3)


def amr(path: Path) -> Path:
    """Write a phone's recording with long pauses, for which it stores hardly anything."""
    sound = np.concatenate(
        [sounds.speech(4, 8_000), sounds.silence(2, 8_000), sounds.speech(4, 8_000)]
    )
    return sounds.encode(path, sound, 8_000, "amr", "libopencore_amrnb", codec_options={"dtx": "1"})


def test_amr_with_comfort_noise_is_read(tmp_path: Path) -> None:
    path = amr(tmp_path / "upload")
    assert 7.5 < decode(path).seconds < 10.5


def test_amr_frames_that_the_decoder_refuses_are_left_out(tmp_path: Path) -> None:
    path = amr(tmp_path / "upload")
    content = bytearray(path.read_bytes())
    frame_sizes = {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6}
    place = len(b"#!AMR\n")
    count = 0
    while place < len(content):
        kind = content[place] >> 3 & 15
        if count % 25 == 12:
            content[place] &= 0x7B  # the frame calls itself damaged
        place += frame_sizes.get(kind, 1)
        count += 1
    path.write_bytes(content)
    assert decode(path).seconds > 7


def test_amr_in_a_phone_s_film_is_read(tmp_path: Path) -> None:
    raw, path = amr(tmp_path / "raw"), tmp_path / "upload"
    with (
        av.open(str(raw)) as source,
        path.open("wb") as file,
        av.open(file, "w", format="3gp") as output,
    ):
        copied = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)
    assert 7.5 < decode(path).seconds < 10.5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("container", "codec"), [("ipod", "aac"), ("adts", "aac"), ("ac3", "ac3")])
def test_damaged_runs_cost_their_own_frames_alone(
    tmp_path: Path, container: str, codec: str, seed: int
) -> None:
    path = sounds.encode(
        tmp_path / "upload", sounds.speech(SECONDS, 44_100), 44_100, container, codec
    )
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(3_000, len(content) - 12_000, 6):
        size = int(random.integers(50, 800))
        content[place : place + size] = random.bytes(size)
    path.write_bytes(content)
    assert decode(path).seconds > 0.75 * SECONDS


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_damage_in_the_middle_costs_little(tmp_path: Path, kind: str) -> None:
    path = sounds.write(tmp_path / "upload", sounds.speech(SECONDS), 24_000, kind)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = np.random.default_rng(2).bytes(300)
    path.write_bytes(content)
    assert decode(path).seconds > 0.4 * SECONDS


TITLE = "Cafe by Q"


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [
        ("ipod", "aac", 48_000),
        ("mp4", "aac", 48_000),
        ("caf", "alac", 48_000),
        ("caf", "pcm_s16le", 48_000),
        ("wav", "g726", 8_000),
        ("wav", "pcm_s16le", 48_000),
        ("mp3", "libmp3lame", 48_000),
        ("flac", "flac", 48_000),
        ("matroska", "libopus", 48_000),
    ],
)
def test_tags_in_another_encoding_than_utf_8_do_no_harm(
    tmp_path: Path, container: str, codec: str, rate_hz: int
) -> None:
    sound = sounds.speech(SECONDS, rate_hz)
    path = sounds.encode(tmp_path / "upload", sound, rate_hz, container, codec, title=TITLE)
    content = path.read_bytes()
    assert TITLE.encode() in content
    path.write_bytes(content.replace(TITLE.encode(), "Café où Q".encode("latin-1")))
    assert decode(path).seconds == pytest.approx(SECONDS, abs=0.2)


def test_a_flac_whose_tags_are_damaged_is_read(tmp_path: Path) -> None:
    path = sounds.encode(
        tmp_path / "upload", sounds.speech(SECONDS), 24_000, "flac", "flac", title=TITLE
    )
    content = path.read_bytes()
    path.write_bytes(content.replace(TITLE.encode(), b"\xff\xfe\xe9" * 3))
    assert decode(path).seconds == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.parametrize(("container", "codec"), [("adts", "aac"), ("mp3", "libmp3lame")])
def test_a_file_that_changes_its_rate_and_channels_is_read_to_the_end(
    tmp_path: Path, container: str, codec: str
) -> None:
    mono = sounds.encode(tmp_path / "mono", sounds.speech(5, 22_050), 22_050, container, codec)
    both = np.stack([sounds.speech(5, 44_100)] * 2, axis=1)
    stereo = sounds.encode(tmp_path / "stereo", both, 44_100, container, codec)
    path = tmp_path / "upload"
    path.write_bytes(mono.read_bytes() + stereo.read_bytes())
    assert decode(path).seconds == pytest.approx(10, abs=0.4)


def test_every_audio_track_of_a_film_is_offered(tmp_path: Path) -> None:
    tracks = [sounds.speech(4, 48_000)] * 3
    assert (
        len(
            tracks_of(
                sounds.encode_tracks(tmp_path / "upload", tracks, 48_000, "matroska", "libopus")
            )
        )
        == 3
    )

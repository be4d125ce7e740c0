"""Uploads to the pages that are lists of other files: the decoder must open none of them."""

import io
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support import sounds
from ui.audio import reading
from ui.audio.reading import read_audio
from ui.errors import BadAudio


def tone() -> bytes:
    """Return a second of sound as WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes((8_000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes())
    return file.getvalue()


class Inside:
    """A server that only this machine reaches, and the requests that it got."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(tone())

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret.wav"


@pytest.fixture
def inside() -> Iterator[Inside]:
    made = Inside()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def lists(target: str) -> dict[str, bytes]:
    """Return lists of every kind that name this one file."""
    return {
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n".encode(),
        "HLS with a key": (
            f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:1,\n{target}\n'
        ).encode(),
        "HLS of lists": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "DASH": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="0" '
            f'bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
        ).encode(),
        "SDP": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={target}\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n".encode(),
        "RTSP description": f"rtsptext\nrtsp://{target.partition('//')[2]}\n".encode(),
        "ASF reference": f"[Reference]\nRef1={target}\n".encode(),
        "IMF": (
            '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
            f"<Id>{target}</Id></CompositionPlaylist>"
        ).encode(),
    }


@pytest.mark.parametrize("kind", lists(""))
def test_a_list_reaches_no_server_and_no_file(inside: Inside, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.wav").write_bytes(tone())
    for target in (
        inside.url,
        str(tmp_path / "secret.wav"),
        f"file://{tmp_path}/secret.wav",
        f"concat:{inside.url}",
    ):
        with pytest.raises(BadAudio):
            read_audio(lists(target)[kind])
    assert inside.asked == []


def test_each_of_the_two_limits_alone_keeps_the_decoder_from_what_a_list_names(
    inside: Inside,
) -> None:
    reckless = {"safe": "0", "protocol_whitelist": "http,tcp,file,data,crypto"}
    concat = lists(inside.url)["concat"]
    with av.open(io.BytesIO(concat), "r", options=reckless) as container:
        next(container.decode(container.streams.audio[0]))
    assert inside.asked  # so it does reach the server, where neither holds
    inside.asked.clear()
    for name, limit in reading._OPTIONS.items():
        with pytest.raises((av.FFmpegError, ValueError)):
            av.open(io.BytesIO(concat), "r", options=reckless | {name: limit})
    assert inside.asked == []


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "W64", "CAF"])
def test_files_with_audio_in_them_are_read(tmp_path: Path, format_: str) -> None:
    path = sounds.write(tmp_path / "upload", sounds.speech(4), 24_000, format_)
    assert len(read_audio(path.read_bytes())) > 3.5 * reading.RATE_HZ


@pytest.mark.parametrize(
    ("container", "codec"), [("webm", "libopus"), ("ipod", "aac"), ("adts", "aac"), ("mp4", "aac")]
)
def test_what_browsers_and_phones_record_is_read(
    tmp_path: Path, container: str, codec: str
) -> None:
    path = sounds.encode(tmp_path / "upload", sounds.speech(4, 48_000), 48_000, container, codec)
    assert len(read_audio(path.read_bytes())) > 3.5 * reading.RATE_HZ

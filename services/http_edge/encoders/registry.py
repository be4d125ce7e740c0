"""The output formats by name, and the choice of one by what a client sends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.common.audio.wav import HEADER_BYTES
from services.http_edge.encoders.events import EventsEncoder
from services.http_edge.encoders.ffmpeg import (
    AacEncoder,
    AlawEncoder,
    FlacEncoder,
    Mp3Encoder,
    MulawEncoder,
    OpusEncoder,
)
from services.http_edge.encoders.protocol import Encoder
from services.http_edge.encoders.resampled import ResampledEncoder
from services.http_edge.encoders.tags import Tags
from services.http_edge.encoders.uncompressed import PcmEncoder, WavEncoder
from services.http_edge.errors import BadRequest

SAMPLE_RATES_HZ: Final = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
_OPUS_HZ: Final = (8_000, 16_000, 24_000, 48_000)  # RFC 6716, section 2.1.3, as far as listed above


@dataclass(frozen=True)
class Format:
    """An output format."""

    name: str  # as `response_format` has it
    encoder: Callable[[Tags | None], Encoder]
    media_types: tuple[str, ...]  # that select it in `Accept`
    sample_rates_hz: tuple[int, ...] = SAMPLE_RATES_HZ
    default_rate_hz: int | None = None  # None: the engine's
    header_bytes: int | None = None  # as `Encoder.header_bytes`


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        found.name: found
        for found in (
            Format(
                "wav",
                WavEncoder,
                ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
                header_bytes=HEADER_BYTES,
            ),
            Format("mp3", Mp3Encoder, ("audio/mpeg", "audio/mp3")),
            Format("opus", OpusEncoder, ("audio/ogg", "audio/opus"), _OPUS_HZ),
            Format("aac", AacEncoder, ("audio/aac", "audio/aacp")),
            Format("flac", FlacEncoder, ("audio/flac", "audio/x-flac")),
            Format("pcm", PcmEncoder, ("audio/pcm",), header_bytes=0),
            Format("mulaw", MulawEncoder, ("audio/basic",), (8_000,), 8_000),
            Format("alaw", AlawEncoder, ("audio/x-alaw-basic",), (8_000,), 8_000),
        )
    }
)


@dataclass(frozen=True)
class OutputFormat:
    """The format of one response."""

    format: Format
    sample_rate_hz: int | None = None  # None: the engine's
    event_characters: int | None = None  # of the text, if the audio is sent in events
    in_json: bool = False  # the whole audio in one JSON object
    word_times: bool = False  # with the times of the words, in events or JSON

    def encoder(self, engine_rate_hz: int, tags: Tags | None = None) -> Encoder:
        """Return the encoder of a response whose PCM has the engine's rate. `tags`: None for no metadata."""
        encoder = self.format.encoder(tags)
        wanted = self.rate(engine_rate_hz)
        if wanted != engine_rate_hz:
            encoder = ResampledEncoder(encoder, wanted)
        if self.event_characters is not None:
            encoder = EventsEncoder(encoder, characters=self.event_characters)
        return encoder

    @property
    def has_offsets(self) -> bool:
        """Return whether a byte of the body belongs to a sample, so that ranges and resumption are exact."""
        if self.sample_rate_hz is not None or self.event_characters is not None:
            return False
        return self.format.header_bytes is not None

    def rate(self, engine_rate_hz: int) -> int:
        """Return the sample rate of the body, in Hz."""
        return self.sample_rate_hz or self.format.default_rate_hz or engine_rate_hz


WAV: Final = OutputFormat(FORMATS["wav"])


def output_format(
    name: str | None, sample_rate: str | None, *, accept: str, default: str
) -> OutputFormat:
    """Return the format that a client selected.

    `name` and `sample_rate`: the fields `response_format` and `sample_rate`; None or empty if they were not sent.
    Without a name, `Accept` selects the format, and otherwise it is `default`. Raises BadRequest for an unknown format,
    or a rate that the format does not support.
    """
    chosen = (name or "").strip().lower() or _accepted(accept, default) or default
    found = FORMATS.get(chosen)
    if found is None:
        raise BadRequest(
            f"response_format is unknown; send one of {', '.join(FORMATS)}", field="response_format"
        )
    return OutputFormat(found, _rate(found, (sample_rate or "").strip()))


def _rate(found: Format, given: str) -> int | None:
    if not given:
        return None
    rates = {str(rate): rate for rate in found.sample_rates_hz}
    if given not in rates:
        raise BadRequest(
            f"sample_rate of {found.name} must be one of {', '.join(rates)}", field="sample_rate"
        )
    return rates[given]


def _accepted(accept: str, default: str) -> str | None:
    """Return the format that `Accept` prefers; None if it names none (RFC 9110, section 12.5.1).

    Of equally preferred ones the default comes first: browsers list every format that they can play.
    """
    weights: dict[str, float] = {}
    for item in accept.lower().split(","):
        media_type, _, parameters = item.partition(";")
        named = _of_media_type(media_type.strip())
        if named is not None:
            weights.setdefault(named, _weight(parameters))
    wanted = [name for name, weight in weights.items() if weight > 0]
    return max(wanted, key=lambda name: (weights[name], name == default), default=None)


def _of_media_type(media_type: str) -> str | None:
    for found in FORMATS.values():
        if media_type in found.media_types:
            return found.name
    return None


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0

"""The JSON answer about a recording. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, NotRequired, TypedDict, cast

import msgspec
from msgspec import UNSET, Meta

from services.common.bus.provenance.search import FoundSentence, SearchResult
from services.common.wire.fields import WATERMARK, Count, Digest, RequestId
from services.common.wire.voices import Consent, Voice
from services.http_edge.intake.reference.decoder import InspectedRecording

_Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_Amount = Annotated[float, Meta(ge=0)]


class WatermarkBody(TypedDict):
    """The result of the watermark detector."""

    name: Annotated[str, Meta(description="the watermark that was looked for")]
    marked: bool
    log10_false_alarm: Annotated[
        float,
        Meta(
            le=0,
            description="a recording without the mark looks like this with at most this probability",
        ),
    ]
    marked_s: Annotated[float, Meta(ge=0, description="seconds of the parts with the mark")]


class ProvenanceSentence(TypedDict):
    """A sentence of one's own requests that is in the recording."""

    request: RequestId
    sentence: Annotated[Count, Meta(description="its index in the text")]
    spoken_at: _Timestamp
    start_s: Annotated[
        float, Meta(description="where it begins in the recording; negative: it was cut")
    ]
    seconds: Annotated[_Amount, Meta(description="of it that are in the recording")]
    exact: Annotated[bool, Meta(description="the recording has all of its samples, unchanged")]
    difference: Annotated[
        float, Meta(ge=0, le=1, description="share of the fingerprint's bits that differ")
    ]
    digest: Annotated[Digest, Meta(description="SHA-256 of its PCM, as in its end marker")]
    voice: NotRequired[
        Annotated[str, Meta(description="with its revision; absent: the request had recordings")]
    ]


class ProvenanceVoice(TypedDict):
    """A voice of the sentences above, of one's own library."""

    id: Annotated[str, Meta(description="as in `voice`, without the revision")]
    name: NotRequired[Annotated[str, Meta(description="absent: the voice was deleted")]]
    consent: NotRequired[Annotated[Consent, Meta(description="as it is recorded now")]]


class ProvenanceBody(TypedDict):
    """The origin of a recording."""

    seconds: Annotated[_Amount, Meta(description="of the recording that were examined")]
    cut: Annotated[bool, Meta(description="the recording is longer")]
    watermark: WatermarkBody
    sentences: list[ProvenanceSentence]
    voices: list[ProvenanceVoice]
    complete: Annotated[
        bool, Meta(description="false: send it again with `until`, for older sentences")
    ]
    until: NotRequired[
        Annotated[_Timestamp, Meta(description="sentences from here on were searched")]
    ]


def provenance_body(
    recording: InspectedRecording, result: SearchResult, voices: Mapping[str, Voice | None]
) -> ProvenanceBody:
    """Return the answer; `voices` has the records of the tenant's own voices, None where one was deleted."""
    mark = recording.watermark
    body: ProvenanceBody = {
        "seconds": round(recording.seconds, 3),
        "cut": recording.cut,
        "watermark": {
            "name": WATERMARK,
            "marked": mark.marked,
            "log10_false_alarm": round(mark.log10_false_alarm, 2),
            "marked_s": round(mark.marked_s, 3),
        },
        "sentences": [_sentence_body(found) for found in result.found],
        "voices": [_voice_body(voice, record) for voice, record in voices.items()],
        "complete": result.complete,
    }
    if not result.complete:
        body["until"] = _rfc3339(result.since_unix_s)
    return body


def _sentence_body(found: FoundSentence) -> ProvenanceSentence:
    sentence = found.sentence
    body: ProvenanceSentence = {
        "request": sentence.request,
        "sentence": sentence.sentence,
        "spoken_at": _rfc3339(sentence.spoken_unix_ms / 1000),
        "start_s": round(found.start_s, 3),
        "seconds": round(found.seconds, 3),
        "exact": found.exact,
        "difference": round(found.difference, 4),
        "digest": sentence.digest,
    }
    if sentence.voice is not UNSET:
        body["voice"] = sentence.voice
    return body


def _voice_body(voice: str, record: Voice | None) -> ProvenanceVoice:
    body: ProvenanceVoice = {"id": voice}
    if record is not None:
        body["name"] = record.name
        if record.consent is not None:
            body["consent"] = cast(Consent, msgspec.to_builtins(record.consent))
    return body


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")

"""Responses of the service: audio and its headers, normalized texts, problems."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import requests

from ui.errors import CutStream, Refusal, Unreachable

# of a RIFF file with one format and one data chunk, as the service sends it
HEADER_BYTES: Final = 44
_CHUNK_BYTES: Final = 16 * 1024


@dataclass(frozen=True)
class AudioHead:
    """Headers of a response with audio."""

    seed: int
    engine: str
    sample_rate_hz: int
    warning: str  # about the recordings; empty when there is none
    synthesis_s: float | None  # that the engine worked; known of what was sent whole
    left_out: tuple[
        tuple[int, int], ...
    ] = ()  # offsets of the first letters that are not spoken, in code points
    marks_files: bool = False  # files are marked as synthetic in their metadata


@dataclass(frozen=True)
class Normalized:
    """A text as it would be spoken."""

    sentences: tuple[str, ...]
    left_out: tuple[tuple[int, int], ...]  # offsets of letters that are not spoken, in code points


@dataclass(frozen=True)
class SpeechResponse:
    """A response with audio whose body is still to be read."""

    head: AudioHead
    body: requests.Response

    def chunks(self) -> Iterator[bytes]:
        """Yield the WAV as it comes. Raises CutStream where the body ends before the speech."""
        try:
            yield from self.body.iter_content(
                _CHUNK_BYTES if "Content-Length" in self.body.headers else None
            )
        except (
            requests.RequestException,
            AttributeError,
        ):  # AttributeError: urllib3, when another thread closed it
            raise CutStream from None


def head_of(response: requests.Response) -> AudioHead:
    """Return what the headers of a response with audio say."""
    return AudioHead(
        seed=int(response.headers.get("X-Seed", "0")),
        engine=response.headers.get("X-Engine", ""),
        sample_rate_hz=int(response.headers.get("X-Sample-Rate", "24000")),
        warning=response.headers.get("X-Reference-Warning", ""),
        synthesis_s=_synthesis_s(response.headers.get("Server-Timing", "")),
        left_out=spans_of(response.headers.get("X-Text-Left-Out", "")),
        marks_files=response.headers.get("X-Container-Mark", "off") != "off",
    )


def spans_of(header: str) -> tuple[tuple[int, int], ...]:
    """Return the spans that `X-Text-Left-Out` names: `18;spans="9-15 20-32"`."""
    return tuple(
        (int(start), int(end))
        for start, end in re.findall(r"\b([0-9]{1,9})-([0-9]{1,9})\b", header)
    )


def _synthesis_s(timing: str) -> float | None:
    found = re.search(r"\bsynthesis;dur=([0-9.]+)", timing)
    return float(found[1]) / 1000 if found else None


def refusal_of(response: requests.Response) -> Refusal:
    """Return the failure that a problem document reports, or the status of a response without one."""
    problem = body_of(response)
    wait = response.headers.get("Retry-After", "")
    return Refusal(
        code=str(problem.get("code", response.status_code)),
        detail=str(problem.get("detail", response.reason)),
        retry_after_s=math.ceil(int(wait)) if wait.isdigit() else None,
    )


def body_of(response: requests.Response) -> dict[str, Any]:
    """Return a JSON object; an empty one where a proxy answered something else. Raises Unreachable."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    except requests.RequestException:
        raise Unreachable(response.url) from None
    return body if isinstance(body, dict) else {}

"""The HTTP client of the service: the only module with its paths (docs/http.md)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests

from ui.client.library import ConsentForm, LibraryVoice, NewVoice, VoiceList, voice_of
from ui.client.order import Manner, Order, text_type
from ui.client.responses import Normalized, SpeechResponse, body_of, head_of, refusal_of
from ui.errors import CutStream, Unreachable

_CONNECT_S: Final = 3.0
_ANSWER_S: Final = 5.0
_SPEECH_S: Final = 300.0  # maximum silence of the service before and between chunks of audio
_BOOK_S: Final = 1800.0  # a minute for an hour of audio
_PAGE_VOICES: Final = 200
_MOST_PAGES: Final = 5  # of voices: more are too many to choose from


class Service:
    """The service at one address."""

    def __init__(self, url: str, api_key: str = "") -> None:
        """Take the address, without a slash at its end, and the key to it where it asks for one."""
        self.url = url
        self._key = {"X-API-Key": api_key} if api_key else {}

    def about(self) -> dict[str, Any]:
        """Return `GET /`: version, engine, device, languages, parameters. Raises Refusal."""
        return self._json("/")

    def readiness(self) -> str:
        """Return why the service is not ready, or nothing when it is. Raises Unreachable."""
        with self._request("GET", "/readyz", refuse=False) as response:
            if response.ok:
                return ""
            return str(body_of(response).get("detail", response.reason))

    def languages(self) -> dict[str, str]:
        """Return ISO 639-1 code -> the language's own name, in the service's order. Raises Refusal."""
        return dict(self._json("/languages")["languages_details"])

    def metrics(self) -> str:
        """Return `GET /metrics`, in Prometheus' text format. Raises Refusal."""
        with self._request("GET", "/metrics") as response:
            return response.text

    @contextmanager
    def speaking(self, order: Order, request_id: str, *, stream: bool) -> Iterator[SpeechResponse]:
        """Synthesize: yield the response once the first audio has arrived (or all of it). Raises Refusal."""
        path = "/stream" if stream else "/synthesize"
        headers = {"Request-Name": request_id}
        with self._request(
            "POST",
            path,
            files=_form(order.fields(), order.voice.recordings),
            headers=headers,
            timeout=(_CONNECT_S, _SPEECH_S),
        ) as response:
            yield SpeechResponse(head_of(response), response)

    def normalized(
        self,
        text: str,
        language: str,
        pronunciations: Mapping[str, str],
        voices: Mapping[str, str],
    ) -> Normalized:
        """Return a text as it would be spoken. `voices`: of a dialogue. Raises Refusal."""
        fields = {"text": text, "language": language} | text_type(text, voices)
        fields |= Manner(pronunciations=pronunciations).fields()
        with self._request(
            "POST", "/normalize", files=_form(fields), timeout=(_CONNECT_S, 2 * _ANSWER_S)
        ) as response:
            answer = body_of(response)
        return Normalized(
            tuple(str(sentence["text"]) for sentence in answer.get("sentences", ())),
            tuple((span["start"], span["end"]) for span in answer.get("left_out", ())),
        )

    def provenance(self, recording: bytes) -> dict[str, Any]:
        """Return whether a recording has the watermark, and which earlier requests are in it. Raises Refusal."""
        with self._request(
            "POST",
            "/provenance",
            files=[("file", ("recording", recording))],
            timeout=(_CONNECT_S, _SPEECH_S),
        ) as response:
            return body_of(response)

    def cancel(self, request_id: str) -> None:
        """Stop the work on a request, wherever it is. Raises Refusal."""
        with self._request("DELETE", f"/requests/{request_id}"):
            return

    def sentences(self, request_id: str, first: int) -> dict[str, Any]:
        """Return the positions of the sentences of a request or job, from this index on. Raises Refusal."""
        return self._json(f"/requests/{request_id}/sentences?from={first}")

    def begin_job(self, order: Order) -> dict[str, Any]:
        """Submit a long text as a job; return the job. Raises Refusal."""
        fields = {name: value for name, value in order.fields().items() if name != "text"}
        form = _form(fields, order.voice.recordings)
        form.append(("text_file", ("text", order.text.encode())))
        with self._request(
            "POST", "/jobs", files=form, timeout=(_CONNECT_S, _SPEECH_S)
        ) as response:
            return body_of(response)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return how far a job is. Raises Refusal."""
        return self._json(f"/jobs/{job_id}")

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        """Return the latest jobs that were queued as jobs, newest first. Raises Refusal."""
        return list(self._json(f"/jobs?origin=job&limit={limit}").get("jobs", ()))

    def stored_requests(self, label: str, most: int) -> list[dict[str, Any]]:
        """Return the latest requests that were stored as jobs with this label, newest first. Raises Refusal."""
        found: list[dict[str, Any]] = []
        after: str | None = ""
        for _ in range(_MOST_PAGES):
            page = self._json(
                f"/jobs?origin=request&label={label}&limit={most}"
                + (f"&after={after}" if after else "")
            )
            found += page.get("jobs", ())
            after = page.get("next")
            if not after or len(found) >= most:
                break
        return found[:most]

    def store_request(self, request_id: str, label: str) -> dict[str, Any]:
        """Store a finished request as a job with this label; return the job. Raises Refusal."""
        with self._request(
            "POST",
            f"/requests/{request_id}/job",
            json={"label": label},
            timeout=(_CONNECT_S, _SPEECH_S),
        ) as response:
            return body_of(response)

    def job_request(self, job_id: str) -> dict[str, Any]:
        """Return what a job was made of: its text, voice, seed and parameters. Raises Refusal."""
        return self._json(f"/jobs/{job_id}/request")

    def job_sentences(self, job_id: str, first: int = 0) -> dict[str, Any]:
        """Return the sentences of a job that is done, from this index on, at its latest revision. Raises Refusal."""
        return self._json(f"/jobs/{job_id}/sentences?from={first}")

    def redo_sentence(self, job_id: str, index: int, fields: Mapping[str, str]) -> dict[str, Any]:
        """Speak a sentence of a job again, with these changes; return its new revision. Raises Refusal."""
        with self._request(
            "POST",
            f"/jobs/{job_id}/sentences/{index}",
            files=_form(fields) or None,
            timeout=(_CONNECT_S, _SPEECH_S),
        ) as response:
            return body_of(response)

    def cancel_job(self, job_id: str) -> None:
        """Stop a job. Raises Refusal."""
        with self._request("DELETE", f"/jobs/{job_id}"):
            return

    @contextmanager
    def job_audio(
        self, job_id: str, byte_range: str = "", kind: str = "wav", chapter: int | None = None
    ) -> Iterator[requests.Response]:
        """Yield the answer with a job's audio, which is read on as it is spoken. Raises Refusal.

        `chapter`: the index of one chapter instead of the whole; the job has to be done.
        """
        headers = {"Range": byte_range} if byte_range else {}
        query = {} if kind == "wav" else {"response_format": kind}
        if chapter is not None:
            query["chapter"] = str(chapter)
        path = f"/jobs/{job_id}/audio" + (f"?{urlencode(query)}" if query else "")
        with self._request(
            "GET", path, headers=headers, timeout=(_CONNECT_S, _SPEECH_S)
        ) as response:
            yield response

    def job_subtitles(self, job_id: str, kind: str) -> bytes:
        """Return the subtitles of a job that is done: `srt` or `vtt`. Raises Refusal."""
        with self._request("GET", f"/jobs/{job_id}/subtitles.{kind}") as response:
            try:
                return response.content
            except requests.RequestException:
                raise CutStream from None

    @contextmanager
    def job_book(self, job_id: str, kind: str) -> Iterator[requests.Response]:
        """Yield the response with a job's audio book: `m4b`, which is encoded before it is sent, or `mp3`.

        Raises Refusal.
        """
        with self._request(
            "GET", f"/jobs/{job_id}/book.{kind}", timeout=(_CONNECT_S, _BOOK_S)
        ) as response:
            yield response

    def voices(self, name: str = "") -> VoiceList:
        """Return the voices that requests can use: own, shared, built-in. Raises Refusal.

        `name`: only those with this in their names.
        """
        named = f"&q={quote(name, safe='')}" if name else ""
        voices: list[LibraryVoice] = []
        after: str | None = ""

        for _ in range(_MOST_PAGES):
            page = self._json(
                f"/voices?limit={_PAGE_VOICES}{named}" + (f"&after={after}" if after else "")
            )
            voices += map(voice_of, page.get("voices", ()))
            after = page.get("next")
            if not after:
                break

        return VoiceList(tuple(voices), complete=not after)

    def create_voice(self, new: NewVoice) -> LibraryVoice:
        """Store a voice. Raises Refusal."""
        with self._request(
            "POST",
            "/voices",
            files=_form(new.fields(), new.recordings),
            timeout=(_CONNECT_S, _SPEECH_S),
        ) as response:
            return voice_of(body_of(response))

    def replace_clips(
        self, voice: str, recordings: tuple[bytes, ...], consent: ConsentForm
    ) -> LibraryVoice:
        """Replace the recordings of an own voice. Raises Refusal."""
        with self._request(
            "PUT",
            f"{_voice_path(voice)}/clips",
            files=_form(consent.fields(), recordings),
            timeout=(_CONNECT_S, _SPEECH_S),
        ) as response:
            return voice_of(body_of(response))

    def export_voice(self, voice: str) -> bytes:
        """Return an own voice with its recordings as one file. Raises Refusal."""
        with self._request(
            "GET", f"{_voice_path(voice)}/export", timeout=(_CONNECT_S, _SPEECH_S)
        ) as response:
            try:
                return response.content
            except requests.RequestException:
                raise CutStream from None

    def rename_voice(self, voice: str, name: str) -> LibraryVoice:
        """Rename a voice of one's own. Raises Refusal."""
        with self._request("PATCH", _voice_path(voice), json={"name": name}) as response:
            return voice_of(body_of(response))

    def delete_voice(self, voice: str) -> None:
        """Erase a voice of one's own. Raises Refusal."""
        with self._request("DELETE", _voice_path(voice), timeout=(_CONNECT_S, 6 * _ANSWER_S)):
            return

    def preview(self, voice: str, language: str) -> bytes:
        """Return a short sentence in this voice, as WAV. Raises Refusal."""
        path = f"{_voice_path(voice)}/preview?language={language}"
        with self._request("GET", path, timeout=(_CONNECT_S, _SPEECH_S)) as response:
            try:
                return response.content
            except requests.RequestException:
                raise CutStream from None

    def _json(self, path: str) -> dict[str, Any]:
        with self._request("GET", path) as response:
            return body_of(response)

    @contextmanager
    def _request(
        self, method: str, path: str, *, refuse: bool = True, **how: Any
    ) -> Iterator[requests.Response]:
        how.setdefault("timeout", (_CONNECT_S, _ANSWER_S))
        try:
            how["headers"] = how.get("headers", {}) | self._key
            response = requests.request(method, f"{self.url}{path}", stream=True, **how)  # noqa: S113  # set above
        except requests.RequestException:
            raise Unreachable(self.url) from None
        with response:
            if refuse and not response.ok:
                raise refusal_of(response)
            yield response


def _form(
    fields: Mapping[str, str], recordings: tuple[bytes, ...] = ()
) -> list[tuple[str, tuple[str | None, str | bytes]]]:
    """Return the parts of a multipart form, which it is even without recordings."""
    form: list[tuple[str, tuple[str | None, str | bytes]]] = [
        (name, (None, value)) for name, value in fields.items()
    ]
    return form + [("reference_audio", ("reference", recording)) for recording in recordings]


def _voice_path(voice: str) -> str:
    return f"/voices/{quote(voice, safe='')}"

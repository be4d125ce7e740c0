"""The JSON representation of a job's request."""

from services.common.wire.messages import SpeechRequest
from services.common.wire.options import TextOptions
from services.http_edge.http.bodies import JobRequest
from services.http_edge.http.jobs.list_routes import request_body


def stored(**options: object) -> SpeechRequest:
    fields = TextOptions(**options).fields()  # type: ignore[arg-type]
    return SpeechRequest(
        request="a",
        tenant="t",
        engine="tone",
        language="en",
        text="Hi.",
        clips=(),
        seed=7,
        deadline_unix_ms=1,
        **fields,
    )


def test_every_text_option_is_in_the_request_of_a_job_as_the_document_describes_it() -> None:
    body = request_body(stored(split=False, spoken_forms=False, pronunciations={"a": "b"}))
    assert body["enable_text_splitting"] is False
    assert body["spoken_forms"] is False
    assert body["pronunciations"] == {"a": "b"}
    assert set(body) <= set(JobRequest.__annotations__)
    options = {name for name in TextOptions.__struct_fields__ if name != "split"}
    assert options <= set(body)

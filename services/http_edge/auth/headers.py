"""The headers of requests and responses: what pages of other origins may send and read, and the documents list."""

from types import MappingProxyType
from typing import Final

# that a page of another origin may send
REQUEST_HEADERS: Final = MappingProxyType(
    {
        "Authorization": "`Bearer KEY`, if the operator requires API keys",
        "Content-Type": "of the body; clients set it with the boundary of the form",
        "Idempotency-Key": "1 to 255 printable ASCII characters; a retry with the same key and form joins the "
        "first request",
        "If-None-Match": "the ETag that the client has: 304 if it is still valid",
        "If-Range": "an ETag: apply Range only if it is still valid",
        "Last-Event-ID": "the id of the last event that the client received",
        "Range": "one range of bytes",
        "Request-Name": "the id of the request, chosen by the client: 8 to 64 letters, digits, hyphens or underscores",
        "X-API-Key": "the key, instead of Authorization",
        "X-Request-Id": "returned, and added to the log: an id of the client or of a gateway",
        "traceparent": "W3C trace context, which is continued",
        "tracestate": "W3C trace context",
    }
)
# that such a page may read
RESPONSE_HEADERS: Final = MappingProxyType(
    {
        "Accept-Ranges": "`bytes`, or `none` for formats without ranges",
        "Content-Disposition": "a file name for the audio",
        "Content-Range": "the bytes of a 206, or the size for a 416",
        "ETag": "validator of the body",
        "Location": "path of what was created",
        "Request-Name": "the id of the request, for /requests/{id}",
        "Retry-After": "seconds until a retry may succeed",
        "Server-Timing": "duration of each step, in milliseconds",
        "X-Container-Mark": "whether the file says in its metadata that its audio is synthetic: metadata, none, or off",
        "X-Content-Credentials": "how the file is signed: c2pa, c2pa-development, none, or off",
        "X-Engine": "the engine that synthesized",
        "X-Language": "languages of the text, that of most of it first",
        "X-Reference-Warning": "what is wrong with the recordings, although they are used",
        "X-Request-Id": "the id that the client sent, or else the request's",
        "X-Sample-Rate": "of the audio, in Hz",
        "X-Seed": "the seed that repeats the audio",
        "X-Speech-Fault": "sentences whose audio is faulty or ends early, and why",
        "X-Text-Left-Out": "letters that were not spoken, and where they are",
        "X-Watermark": "the watermark of the audio, or off",
        "X-Voice": "the revision of the voice that was used",
        "traceparent": "W3C trace context of the request",
    }
)

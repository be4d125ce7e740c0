"""Errors, as types with the values that a message to the user needs."""

from typing import Final

# The service has too much to do; nothing of the request was done.
BUSY: Final = ("queue_full", "tenant_queue_full", "too_many_requests", "too_many_streams")

# The service does not store it, or no longer.
GONE: Final = ("unknown_job", "unknown_request", "job_ended")

DOCUMENT_REASONS: Final = ("unreadable", "protected", "large", "empty")


class Refusal(Exception):
    """The service refused or failed; `str(refusal)` is its own sentence, in English."""

    def __init__(self, code: str, detail: str = "", retry_after_s: int | None = None) -> None:
        """Take the code of docs/http.md (or one of the four below), the detail, and when to try again."""
        super().__init__(detail)
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def gone(self) -> bool:
        """Return whether the requested object no longer exists."""
        return self.code in GONE


class Unreachable(Refusal):
    """The service does not answer at its address."""

    def __init__(self, url: str) -> None:
        """Name the address."""
        super().__init__("unreachable", url)


class CutStream(Refusal):
    """The answer ended before the speech did: what came is not the whole."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("cut_stream", "the answer was cut before its end")


class BadAudio(Refusal):
    """The file is no audio that can be read."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("unreadable_audio", "the file holds no audio that could be decoded")


class BadDocument(Refusal):
    """The file is no text that can be read."""

    def __init__(self, reason: str) -> None:
        """Take one of DOCUMENT_REASONS."""
        super().__init__(f"document_{reason}")

"""Expected failures, as types.

Two places translate them: the work loop of a consumer (into ack, nak or term) and the edge's middleware (into
problem+json; the edge's own failures are in `http_edge/errors.py`). `code` is part of the
public contract: it travels in `SpeechFailed.code` and in problem+json.
"""


class PipelineError(Exception):
    """A failure that the design expects.

    `str(error)` is a message for the caller with the remedy; it never contains the text, the voice or a secret.
    """

    code: str = "internal"
    retryable: bool = False
    redelivered: bool = True  # if retryable: whether its message is delivered again
    http_status: int = 500
    kept: bool = False  # whether its message becomes a dead letter although it was not retried
    retry_after_s: float | None = None  # when a retry may succeed, if known
    field: str | None = None  # of the request, if the failure concerns one


class MalformedMessage(PipelineError):
    """Bytes on the bus that are not the message they should be."""

    code = "malformed_message"
    http_status = 400


class UnsupportedLanguage(PipelineError):
    """The engine does not speak it."""

    code = "unsupported_language"
    http_status = 422


class EmptyText(PipelineError):
    """Nothing in the text can be spoken."""

    code = "empty_text"
    http_status = 422


class TextTooLong(PipelineError):
    """The text is over the service's limit."""

    code = "text_too_long"
    http_status = 413


class MalformedSsml(PipelineError):
    """The SSML cannot be read, or asks for what is not spoken; the message names the line and the column."""

    code = "malformed_ssml"
    http_status = 400


class UnspeakableText(PipelineError):
    """The engine cannot speak this sentence, and never will: it is not delivered again."""

    code = "unspeakable_text"
    http_status = 422


class UnsupportedParameter(PipelineError):
    """The engine has no use for a parameter that was set; the message names those that it takes."""

    code = "unsupported_parameter"
    http_status = 422


class UnusableReference(PipelineError):
    """The reference audio cannot serve as a voice; the message contains what to send instead."""

    code = "unusable_reference"
    http_status = 422


class ReferenceTooLarge(PipelineError):
    """The upload is over the service's limit."""

    code = "reference_too_large"
    http_status = 413


class UnknownClip(PipelineError):
    """A message names a reference clip that the object store does not hold."""

    code = "unknown_clip"
    http_status = 404


class UnknownVoice(PipelineError):
    """No voice has this name or id, or not any longer."""

    code = "unknown_voice"
    http_status = 404


class VoiceNameTaken(PipelineError):
    """Another voice of the tenant has this name."""

    code = "voice_name_taken"
    http_status = 409


class VoiceBusy(PipelineError):
    """Another request is replacing the clips of this voice."""

    code = "voice_busy"
    retryable = True
    http_status = 409


class TenantVoicesFull(PipelineError):
    """This tenant keeps all the voices that it may."""

    code = "tenant_voices_full"
    http_status = 409


class ConsentRequired(PipelineError):
    """The operator asks for the speaker's consent, and none was sent."""

    code = "consent_required"
    http_status = 422


class EngineUnavailable(PipelineError):
    """No worker for the engine is alive."""

    code = "engine_unavailable"
    retryable = True
    http_status = 503


class BusUnavailable(PipelineError):
    """NATS does not answer."""

    code = "bus_unavailable"
    retryable = True
    http_status = 503


class QueueFull(PipelineError):
    """The whole system has all the work that it takes."""

    code = "queue_full"
    retryable = True
    http_status = 503


class TenantQueueFull(PipelineError):
    """This tenant has all the requests waiting that it may."""

    code = "tenant_queue_full"
    retryable = True
    http_status = 429


class TenantClipsFull(PipelineError):
    """This tenant has stored all the reference clips that it may within a day."""

    code = "tenant_clips_full"
    retryable = True
    http_status = 429


class TenantRequestsFull(QueueFull):
    """This tenant's requests fill its share of the request store."""

    code = "tenant_requests_full"
    http_status = 429


class QuotaUsedUp(PipelineError):
    """The API key's audio for today is used up, or the text asks for more than is left of it."""

    code = "quota_used_up"
    http_status = 429


class DeadlineExceeded(PipelineError):
    """The time that the client gave is over; to deliver the work again would not bring it back."""

    code = "deadline_exceeded"
    http_status = 504


class SpeechCancelled(PipelineError):
    """The request was cancelled: the client left, or a cancel came over NATS."""

    code = "cancelled"
    http_status = 499


class SynthesisFailed(PipelineError):
    """The engine failed at this sentence again and again."""

    code = "synthesis_failed"
    http_status = 502


class EngineCrashed(PipelineError):
    """The engine's process died of this sentence or recording; it is tried nowhere else."""

    code = "engine_crashed"
    http_status = 502
    kept = True

"""Translates exceptions of the NATS client into the failures of the contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import nats.errors
import nats.js.errors

from services.common.bus.ports import SubjectFull
from services.common.runtime.cancellation import cancellation_kept
from services.common.wire.failures import BusUnavailable, PipelineError, QueueFull, TextTooLong

# Error codes of nats-server/server/errors.json.
WRONG_LAST_SEQUENCE: Final = 10071  # the subject has a newer message than the writer expects
_STORE_REFUSED: Final = 10077  # a limit of the stream was reached under discard=new


def too_large() -> TextTooLong:
    """Return the failure of a message over max_payload; only a text makes a message so large."""
    return TextTooLong(
        "the text is larger than NATS takes in one message; send it in parts, or raise max_payload"
    )


def refusal(error: nats.js.errors.APIError) -> PipelineError:
    """Return the failure of a refused publish."""
    if error.err_code == _STORE_REFUSED and "per subject" in (error.description or ""):
        return SubjectFull("this subject is at its message limit")
    if error.err_code == _STORE_REFUSED:
        return QueueFull("the stream is at its message limit")
    return BusUnavailable(f"NATS refused: {error.description} ({error.err_code})")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Translate exceptions of the client while the block runs, and keep cancellations that it loses."""
    try:
        with cancellation_kept():
            yield
    except nats.js.errors.NoStreamResponseError:
        raise BusUnavailable("NATS has no such stream, or JetStream is off") from None
    except nats.errors.MaxPayloadError:
        raise too_large() from None
    except nats.js.errors.APIError as error:
        raise refusal(error) from None
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"NATS does not answer ({type(error).__name__})") from None

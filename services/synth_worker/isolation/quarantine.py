"""Decides, after a crash, which sentence or call caused it."""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.common.wire.failures import EngineCrashed
from services.synth_worker.isolation.in_flight import InFlightSentence, PendingCall

_CULPRIT: Final = (
    "this {} makes the engine crash; the operator finds it, with the reason, in the dead letters"
)


def quarantine(
    in_step: set[int],
    calls: Mapping[int, PendingCall],
    sentences: Mapping[int, InFlightSentence],
    *,
    conclusive: bool,
) -> None:
    """Fail the crash culprit if it is identified; otherwise quarantine all sentences of the step.

    `in_step` are the numbers that the engine was computing when it died. The culprit is identified if it was alone
    there, and either the crash is `conclusive` (a fault or a hang, not a kill from outside) or an earlier engine
    process was killed while it was alone. A quarantined sentence shares no step with another one.
    """
    alone = len(in_step) == 1

    for number in in_step & calls.keys():
        call = calls[number]
        if alone and (conclusive or call.alone_at_kill) and not call.result.done():
            call.result.set_exception(EngineCrashed(_CULPRIT.format("reference audio")))
        call.alone_at_kill = alone

    for number in in_step & sentences.keys():
        sentence = sentences[number]
        if alone and (conclusive or sentence.alone_at_kill):
            sentence.fail(EngineCrashed(_CULPRIT.format("sentence")))
            sentence.supervisor.forget(sentence)
        sentence.alone_at_kill = alone
        sentence.command = msgspec.structs.replace(sentence.command, alone=True)

"""The operations of the voice library."""

from typing import Final

from services.common.voice_file import CONTENT_TYPE
from services.common.wire import failures as wire
from services.http_edge import errors
from services.http_edge.api_document.failures import BODY, RECORDINGS, SPEAKING
from services.http_edge.api_document.operation import Answer, FormBody, JsonBody, Operation
from services.http_edge.voices.fields import FIELDS
from services.http_edge.voices.form_reader import CLIPS_FORM, FILE_FORM, VOICE_FORM
from services.http_edge.voices.representation import (
    VoiceBody,
    VoicesBody,
)

_TAKEN: Final = (wire.VoiceNameTaken, wire.TenantVoicesFull)
_CREATED: Final = Answer(201, "the voice is stored", VoiceBody, headers=("Location",))

OPERATIONS: Final = (
    Operation(
        "post",
        "/voices",
        "createVoice",
        "voices",
        "Store a voice of one to eight recordings",
        (_CREATED,),
        (*BODY, *RECORDINGS, *_TAKEN, wire.ConsentRequired, wire.UnknownVoice),
        body=FormBody(VOICE_FORM),
    ),
    Operation(
        "get",
        "/voices",
        "voices",
        "voices",
        "List voices: a page of one's own, and on the first page shared and built-in ones",
        (Answer(200, "the voices", VoicesBody),),
    ),
    Operation(
        "delete",
        "/voices/uploads",
        "deleteUploads",
        "voices",
        "Erase the recordings that came with requests, and the voices computed from them",
        (Answer(204, "they are erased"),),
    ),
    Operation(
        "post",
        "/voices/import",
        "importVoice",
        "voices",
        "Store an exported voice",
        (_CREATED,),
        (
            *BODY,
            *RECORDINGS,
            *_TAKEN,
            wire.ConsentRequired,
            wire.UnknownVoice,
            wire.MalformedMessage,
        ),
        body=FormBody(FILE_FORM),
    ),
    Operation(
        "get",
        "/voices/{voice}",
        "voice",
        "voices",
        "Return a voice",
        (Answer(200, "the voice", VoiceBody),),
        (wire.UnknownVoice,),
    ),
    Operation(
        "patch",
        "/voices/{voice}",
        "changeVoice",
        "voices",
        "Change what is not audio",
        (Answer(200, "the voice", VoiceBody),),
        (*BODY, wire.UnknownVoice, wire.VoiceNameTaken, wire.VoiceBusy),
        body=JsonBody(FIELDS),
    ),
    Operation(
        "delete",
        "/voices/{voice}",
        "deleteVoice",
        "voices",
        "Erase a voice, and everything that was computed from it",
        (Answer(204, "it is erased"),),
        (wire.UnknownVoice, wire.VoiceBusy),
    ),
    Operation(
        "put",
        "/voices/{voice}/clips",
        "replaceClips",
        "voices",
        "Replace the recordings of a voice",
        (Answer(200, "the voice", VoiceBody),),
        (
            *BODY,
            *RECORDINGS,
            wire.UnknownVoice,
            wire.VoiceBusy,
            wire.TenantVoicesFull,
            wire.ConsentRequired,
        ),
        body=FormBody(CLIPS_FORM),
    ),
    Operation(
        "get",
        "/voices/{voice}/preview",
        "previewVoice",
        "voices",
        "Return a short sentence in this voice",
        (
            Answer(
                200,
                "the audio",
                media_types=("audio/wav",),
                headers=("Content-Disposition", "X-Container-Mark", "X-Content-Credentials"),
            ),
        ),
        (
            *SPEAKING,
            wire.UnknownVoice,
            wire.EngineUnavailable,
            wire.TenantQueueFull,
            wire.UnsupportedLanguage,
        ),
    ),
    Operation(
        "get",
        "/voices/{voice}/export",
        "exportVoice",
        "voices",
        "Return a voice with its recordings, as one file",
        (
            Answer(
                200,
                "the file",
                media_types=(CONTENT_TYPE,),
                headers=("Content-Disposition",),
            ),
        ),
        (errors.BadRequest, wire.UnknownVoice, wire.UnknownClip, errors.ListenerStalled),
    ),
)

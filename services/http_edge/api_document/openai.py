"""The operations of OpenAI's API."""

from typing import Final

from services.http_edge import errors
from services.http_edge.api_document.audio_answers import (
    AUDIO_TYPES,
    EVENTS,
    POSTED,
    SOMETIMES,
    SPEECH_HEADERS,
)
from services.http_edge.api_document.failures import ACCEPTING, SPEAKING
from services.http_edge.api_document.operation import Answer, JsonBody, Operation
from services.http_edge.http import bodies
from services.http_edge.intake.openai.openai_body import BODY as OPENAI_BODY

OPERATIONS: Final = (
    Operation(
        "post",
        "/v1/audio/speech",
        "openaiSpeech",
        "openai",
        "Synthesize a text, as OpenAI's endpoint does",
        (
            Answer(
                200,
                "the audio, events with it, or an object with its times",
                bodies.SpokenText,
                media_types=(*AUDIO_TYPES, EVENTS),
                headers=SPEECH_HEADERS[:-1],
                optional_headers=(*SOMETIMES, "Server-Timing", "Content-Disposition"),
            ),
        ),
        (*ACCEPTING, *SPEAKING, errors.UnknownModel),
        POSTED,
        JsonBody(tuple(OPENAI_BODY.values()), required=("input",), others_ignored=True),
    ),
    Operation(
        "get",
        "/v1/models",
        "openaiModels",
        "openai",
        "List the engine and the names of OpenAI's models that stand for it",
        (Answer(200, "the models", bodies.Models),),
    ),
    Operation(
        "get",
        "/v1/audio/models",
        "openaiAudioModels",
        "openai",
        "List the models: the same as /v1/models",
        (Answer(200, "the models", bodies.Models),),
    ),
    Operation(
        "get",
        "/v1/models/{model}",
        "openaiModel",
        "openai",
        "Return a model",
        (Answer(200, "the model", bodies.Model),),
        (404,),
    ),
    Operation(
        "get",
        "/v1/audio/voices",
        "openaiVoices",
        "openai",
        "List the names that `voice` accepts",
        (Answer(200, "the voices", bodies.NamedVoices),),
    ),
)

"""The operation that looks recordings up."""

from typing import Final

from services.http_edge.api_document.failures import BODY, RECORDINGS
from services.http_edge.api_document.operation import Answer, FormBody, Operation
from services.http_edge.provenance.body import ProvenanceBody
from services.http_edge.provenance.form_reader import PROVENANCE_FORM

OPERATIONS: Final = (
    Operation(
        "post",
        "/provenance",
        "provenance",
        "provenance",
        "Look for the watermark in a recording, and for its sentences in the log of one's requests",
        (Answer(200, "what was found", ProvenanceBody),),
        (*BODY, *RECORDINGS),
        body=FormBody(PROVENANCE_FORM),
    ),
)

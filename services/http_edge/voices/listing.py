"""The query of `GET /voices`, and which voices match it. Pure."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import MOST_LISTED, Voice, is_voice_id
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.form_fields import Field, page_limit, switch

VoiceKind = Literal["library", "shared", "builtin"]

_KINDS: Final = get_args(VoiceKind)
_USUAL_LIMIT: Final = 50
_LONGEST_PART: Final = 64  # of a name


@dataclass(frozen=True)
class VoiceQuery:
    """A checked query."""

    limit: int = _USUAL_LIMIT  # of library voices
    after: str | None = None  # the `next` of the page before
    language: str | None = None
    part: str = ""  # of the name, folded
    kind: VoiceKind | None = None  # None: all

    @property
    def is_first_page(self) -> bool:
        """Return whether shared and built-in voices belong to this page."""
        return self.after is None

    def wants(self, kind: VoiceKind) -> bool:
        """Return whether voices of this kind belong to the page."""
        return self.kind in (None, kind) and (kind == "library" or self.is_first_page)

    def matches(self, voice: Voice) -> bool:
        """Return whether a stored voice matches language and name."""
        spoken = self.language is None or voice.language == self.language
        return spoken and self.part in _folded(voice.name)

    def matches_built_in(self, voice: BuiltInVoice) -> bool:
        """Return whether a built-in voice matches; without languages, it has all of them."""
        spoken = self.language is None or not voice.languages or self.language in voice.languages
        return spoken and self.part in _folded(voice.name)


def parse_query(given: Sequence[tuple[str, str]]) -> VoiceQuery:
    """Return the checked query. Raises BadRequest, which names the parameter."""
    sent = only_parameters(given, [field.name for field in QUERY])
    values = {
        field.name: field.checked(sent[field.name]) if field.name in sent else field.default
        for field in QUERY
    }
    part = values.pop("q")
    return VoiceQuery(part=part, **values)


def checked_language(given: str | None) -> str | None:
    """Return the code of the language in a query; None if it was not sent. Raises BadRequest."""
    if given is None:
        return None

    language = language_code(given)
    if language is None:
        raise BadRequest(
            f"language is unknown in the query; send one of {' '.join(LANGUAGES)}, or leave it out",
            field="language",
        )
    return language


def only_parameters(given: Sequence[tuple[str, str]], known: Sequence[str]) -> Mapping[str, str]:
    """Return the parameters of a query by name. Raises BadRequest for unknown and repeated ones."""
    sent: dict[str, str] = {}
    for name, value in given:
        if name not in known:
            shown = name[:_LONGEST_PART] if name.isascii() and name.isprintable() else "one"
            advice = f"the parameters are {', '.join(known)}" if known else "this path has none"
            raise BadRequest(f"unknown query parameter {shown}; {advice}", field=shown)
        if name in sent:
            raise BadRequest(f"the query parameter {name} was sent twice", field=name)
        sent[name] = value
    return sent


def _after(given: str) -> str:
    if not is_voice_id(given):
        raise BadRequest("after must be the id in `next` of the page before")
    return given


def _part(given: str) -> str:
    if len(given) > _LONGEST_PART:
        raise BadRequest(f"q must be at most {_LONGEST_PART} characters of a name")
    return _folded(given)


def _kind(given: str) -> VoiceKind:
    for kind in _KINDS:
        if given == kind:
            return kind  # type: ignore[no-any-return]  # get_args loses the type
    raise BadRequest(f"kind must be one of {', '.join(_KINDS)}")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


LANGUAGE: Final = Field(
    "language",
    "code of a language",
    {"type": "string", "enum": list(LANGUAGES)},
    checked_language,
)
COMPUTED: Final = switch(
    "computed", "whether the file has what engines computed of the voice", default=False
)
_LIMIT: Final = page_limit("own voices per page", MOST_LISTED)
QUERY: Final = (
    _LIMIT,
    Field(
        "after",
        "`next` of the previous page",
        {"type": "string", "pattern": "^v_[0-9a-v]{20}$"},
        _after,
    ),
    LANGUAGE,
    Field(
        "q",
        "only voices with this in their name, in any case",
        {"type": "string", "maxLength": _LONGEST_PART},
        _part,
        default="",
    ),
    Field("kind", "only voices of this kind", {"type": "string", "enum": list(_KINDS)}, _kind),
)

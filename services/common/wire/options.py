"""The options of a request that travel whole: how its text is read, and how it is synthesized."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, structs

from services.common.wire.fields import Loudness, Pronunciations, TextType


class Parameters(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Synthesis parameters. On the wire a map; a missing one has the engine's default.

    An engine refuses parameters that it does not support (`WorkerState.parameters` lists those it
    does), as it would ignore them. Unknown parameters are refused for the same reason, unlike
    unknown fields of a message.
    """

    # of sampling audio codes; under 1: less varied
    temperature: Annotated[float, Meta(ge=0.01, le=10)] | None = None

    # sample only from this many of the likeliest codes
    top_k: Annotated[int, Meta(ge=1, le=1000)] | None = None

    # sample only from the likeliest codes that together have this probability
    top_p: Annotated[float, Meta(ge=0.01, le=1)] | None = None

    # for codes sampled before; 1: none
    repetition_penalty: Annotated[float, Meta(ge=1, le=20)] | None = None

    # of beam search; over 0: longer
    length_penalty: Annotated[float, Meta(ge=-10, le=10)] | None = None

    # 2 makes the audio about half as long
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None

    # seconds of the clips that the style is computed from
    gpt_cond_len: Annotated[int, Meta(ge=3, le=30)] | None = None

    # of each sentence, in LUFS (ITU-R BS.1770); "off": not adjusted
    loudness_lufs: Loudness | None = None


AS_USUAL: Final = Parameters()


class TextOptions(Struct, frozen=True, kw_only=True):
    """Options for reading a text, which travel whole from the form to the splitter's segmentation.

    On the wire they are fields of `SpeechRequest` and `NormalizeText`, of the same names.
    """

    split: bool = True  # false: keep the text whole if it fits the engine
    spoken_forms: bool = True  # false: do not normalize numbers and symbols
    pronunciations: Pronunciations = {}  # word as written -> as it is pronounced
    text_type: TextType = "text"  # plain text, an SSML document, or lines with their speakers

    @classmethod
    def of(cls, message: Struct) -> "TextOptions":
        """Return the options in the fields of a message."""
        return cls(**{name: getattr(message, name) for name in cls.__struct_fields__})

    def fields(self) -> dict[str, Any]:
        """Return the fields of a message with these options."""
        return structs.asdict(self)


DEFAULT_TEXT_OPTIONS: Final = TextOptions()

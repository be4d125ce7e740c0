"""The speakers of a dialogue: the names that lines of a text begin with. Pure."""

import re
from typing import Final

MOST_SPEAKERS: Final = 32  # that the service takes
_LEAST_LINES: Final = 2  # with a name
# a short name before the first colon of a line, without the marks of a sentence
_LABEL: Final = re.compile(
    r"^[^\S\n]*(?P<name>[^\W\d_][^\n:：.!?;,«»“”\"()]{0,39})[:：](?!//)", re.MULTILINE
)


def speakers(text: str) -> tuple[str, ...]:
    """Return the names in a text with lines such as `Anna: Hello.`, in order; none if it is no dialogue."""
    found = [" ".join(label["name"].split()) for label in _LABEL.finditer(text)]
    if len(found) < _LEAST_LINES:
        return ()
    names: dict[str, str] = {}
    for name in found:
        names.setdefault(name.casefold(), name)
    return tuple(names.values())[:MOST_SPEAKERS]

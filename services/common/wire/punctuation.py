"""The marks that end a sentence, and the marks that may close after them. One table for all services.

Where a module uses a subset, or adds marks that end something shorter than a sentence, it derives its set from this
table and states the reason.
"""

from typing import Final

SPACED_ENDS: Final = ".!?…؟।"  # of scripts with spaces between words
WIDE_ENDS: Final = "。！？"  # of Chinese and Japanese
HALFWIDTH_ENDS: Final = "｡"  # of Japanese in half-width characters
SENTENCE_ENDS: Final = SPACED_ENDS + WIDE_ENDS + HALFWIDTH_ENDS

CLOSING_MARKS: Final = "\"'”’»)]）」』"  # quotes and brackets after the end of a sentence

"""Number of text tokens of the splitter's longest sentences, by the tokenizer of an XTTS checkpoint.

Run: `python -m benchmarks.tokens FOLDER/vocab.json`, of a checkpoint that you may use; the model takes 401 tokens. The
vocabulary comes with the checkpoint alone, so that nothing is measured where there is none.
"""

import sys
from itertools import islice
from pathlib import Path
from typing import Final

from services.common.wire.failures import UnspeakableText
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import TextOptions
from services.splitter.segmentation.sentences import split
from services.synth_worker.engines.xtts.text.tokenizer import MAX_CHARACTERS, TextEncoder
from tests.unit.splitter.normalization.gold import GOLD
from tests.unit.splitter.normalization.said import cases

LIMIT: Final = 402  # gpt_max_text_tokens of the released config.json
# of a text without a full stop, so that every sentence is as long as it may be
CHARACTERS: Final = 40_000


def sentences(language: str) -> list[str]:
    """Return the longest sentences that the splitter makes for this engine: of prose, of figures and short forms."""
    prose = " ".join(marked.replace("|", "") for marked in GOLD[language])
    traps = ", ".join(case.written for case in cases(language))
    texts = (" ".join(text.replace(".", ",").split()) + " " for text in (prose, traps))
    longest = MAX_CHARACTERS[language]
    found = [
        sentence.spoken
        for text in texts
        for spoken_forms in (True, False)
        for sentence in split(
            (text * (CHARACTERS // len(text) + 1))[:CHARACTERS],
            language,
            max_characters=longest,
            options=TextOptions(spoken_forms=spoken_forms),
        ).sentences
    ]
    return list(islice(sorted(set(found), key=len, reverse=True), 500))


def main(arguments: list[str]) -> int:
    """Print the table; 1 where a sentence is too long, 2 without a vocabulary."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print(__doc__)
        return 2
    encoder = TextEncoder(Path(arguments[0]))
    print("| language | characters at most | sentences | tokens at most | too long | not spoken |")
    print("|---" * 6 + "|")
    failed = 0
    for language in LANGUAGES:
        counts, refused = [0], 0
        asked = sentences(language)
        for sentence in asked:
            try:
                counts.append(len(encoder.encode(sentence, language, 100 * LIMIT)))
            except UnspeakableText:
                refused += 1
        over = sum(count >= LIMIT for count in counts)
        failed += over
        print(
            f"| {language} | {MAX_CHARACTERS[language]} | {len(asked)} | {max(counts)} | {over} | {refused} |"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

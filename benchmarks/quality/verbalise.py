"""Verbalizes texts as the splitter does: `python -m benchmarks.quality.verbalise`, in the product's own virtualenv.

Reads JSON [[language, text], ...] from standard input and writes the spoken forms as JSON to standard output.
"""

import json
import sys

from services.splitter.normalization.normalize import normalize


def main() -> None:
    """Read, say, write."""
    json.dump([normalize(text, language) for language, text in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()

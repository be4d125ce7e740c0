"""Pronunciations as a user writes them: one per line, `SQL = sequel`. Pure."""


def parse_pronunciations(written: str) -> tuple[dict[str, str], list[str]]:
    """Return word -> replacement, and the lines that are not of this form."""
    pronunciations: dict[str, str] = {}
    wrong: list[str] = []
    for line in written.splitlines():
        word, sign, replacement = (part.strip() for part in line.partition("="))
        if word and sign and replacement:
            pronunciations[word] = replacement
        elif line.strip():
            wrong.append(line.strip())
    return pronunciations, wrong

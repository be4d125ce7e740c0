"""Writes docs/schemas: `python -m tools.schemas`."""

from pathlib import Path

from tools.schemas.documents import documents

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def main() -> None:
    """Write every file, and delete those of messages that no longer exist."""
    FOLDER.mkdir(exist_ok=True)
    made = documents()
    for name, content in made.items():
        (FOLDER / name).write_text(content, "utf-8")
    for path in FOLDER.glob("*.json"):
        if path.name not in made:
            path.unlink()


if __name__ == "__main__":
    main()

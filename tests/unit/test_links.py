"""Relative links of the pages: each file and each heading that they point to exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "services/**/README.md",
        "ui/README.md",
        "benchmarks/**/*.md",
        "deploy/**/*.md",
        "tools/**/*.md",
    )
    for page in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings, as GitHub names them, and explicit ids."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    explicit = re.findall(r'id="([^"]+)"', text)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    } | set(explicit)


def broken_links(page: Path) -> Iterator[str]:
    """Yield the links of a page whose file or heading does not exist."""
    for path, anchor in _LINK.findall(page.read_text()):
        if path.startswith(("http:", "https:", "mailto:")):
            continue

        target = page.parent / path if path else page

        if not target.exists():
            yield path
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    assert list(broken_links(page)) == []

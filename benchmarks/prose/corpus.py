"""The prose of a language: fetched, read, filtered, and cached as one paragraph per line, one file per source."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from benchmarks.prose.packages import cache_folder, folder_of, translations
from benchmarks.prose.paragraphs import Prose, digest, words
from benchmarks.prose.readers import catalogues, man, markup, plain
from benchmarks.prose.sources import Source, sources

MOST_WORDS: Final = 60_000  # of one source in one language, where the table has no other limit
_READ_FOR_ONE: Final = 4  # words that are read per word used, so that not all files are read
_READERS: Final[dict[str, Callable[[Path], Iterator[str]]]] = {
    "text": plain.text,
    "fortunes": plain.fortunes,
    "rdb": plain.rdb,
    "html": markup.html,
    "man": man.man,
    "mo": catalogues.mo,
    "qm": catalogues.qm,
    "xpi": catalogues.xpi,
}


def extract(language: str) -> dict[str, int]:
    """Keep a language's paragraphs in the cache, each once; return the number of words by source."""
    prose = Prose(language)
    found: dict[str, list[str]] = {}
    for source in sources(language):
        most = source.most_words or MOST_WORDS
        kept = prose.chosen(_some(_raw(source), language, most * _READ_FOR_ONE), most)
        found[source.name] = found.get(source.name, []) + kept
    _store(language, found)
    return {name: sum(words(text, language) for text in texts) for name, texts in found.items()}


def prepare(language: str) -> str:
    """Extract a language's prose, if that was not yet done with these sources and this code; return the language."""
    mark = _folder(language) / "made-by"
    if not mark.exists() or mark.read_text() != _made_by():
        extract(language)
        mark.write_text(_made_by())
    return language


def stored(language: str) -> dict[str, list[str]]:
    """Return what `extract` stored, by source."""
    paths = sorted(_folder(language).glob("*.txt"))
    return {path.stem: path.read_text(encoding="utf-8").split("\n")[:-1] for path in paths}


def _store(language: str, found: dict[str, list[str]]) -> None:
    folder = _folder(language)
    for old in folder.glob("*"):
        old.unlink()
    for name, texts in found.items():
        if texts:
            (folder / f"{name}.txt").write_text(
                "".join(f"{text}\n" for text in texts), encoding="utf-8"
            )


def _made_by() -> str:
    """Return a digest of the code and the table that say what the prose is."""
    here = Path(__file__).parent
    parts = [
        here / "sources.toml",
        here / "corpus.py",
        here / "paragraphs.py",
        *sorted((here / "readers").glob("*.py")),
    ]
    return digest("".join(path.read_text(encoding="utf-8") for path in parts)).hex()


def _folder(language: str) -> Path:
    folder = cache_folder() / "text" / language
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _some(paragraphs: Iterator[str], language: str, most_words: int) -> Iterator[str]:
    """Yield paragraphs until they have so many words."""
    total = 0
    for paragraph in paragraphs:
        yield paragraph
        total += words(paragraph, language)
        if total > most_words:
            return


def _raw(source: Source) -> Iterator[str]:
    """Yield what a source's files hold, in an order of the files that is mixed but the same in every run."""
    if source.reader == "descriptions":
        for pattern in source.files:
            yield from catalogues.descriptions(translations(pattern.removeprefix("Translation-")))
        return
    for path in sorted(_files(source), key=lambda path: digest(path.name)):
        yield from _READERS[source.reader](path)


def _files(source: Source) -> Iterator[Path]:
    for package in source.packages:
        folder = folder_of(package)
        for path in sorted(folder.rglob("*")) if folder.exists() else []:
            name = str(path.relative_to(folder))
            if path.is_file() and any(fnmatchcase(name, pattern) for pattern in source.files):
                yield path

"""Results that are stored as they come, so that a run that was stopped continues where it was."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from services.common.audio import watermark
from services.common.audio.watermark.detection import Detection

_OWN = Path(__file__).parent


@dataclass(frozen=True)
class Result:
    """The detector's answer for one fragment."""

    source: str  # recording or package
    seconds: float
    marked: bool
    log10_false_alarm: float


class Results:
    """Results by condition and number, in a file that is named after the code that made them."""

    def __init__(self, cache: Path) -> None:
        folder = cache / "watermark" / "results"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{_code_digest()}.jsonl"
        self._known: dict[tuple[str, int], Result] = {}
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                condition, number, fields = json.loads(line)
                self._known[condition, number] = Result(**fields)

    def get(self, condition: str, number: int, compute: Callable[[], Result]) -> Result:
        """Return a result, computed if it is not stored."""
        key = condition, number
        if key not in self._known:
            self._known[key] = compute()
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([condition, number, asdict(self._known[key])]) + "\n")
        return self._known[key]


def result_of(source: str, detection: Detection) -> Result:
    """Return what is stored of a detection."""
    return Result(
        source, detection.seconds, detection.marked, round(detection.log10_false_alarm, 2)
    )


def _code_digest() -> str:
    digest = sha256()
    [package] = watermark.__path__
    code = [*Path(package).glob("*.py"), _OWN / "conditions.py", _OWN / "speech.py"]
    for path in sorted(code):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

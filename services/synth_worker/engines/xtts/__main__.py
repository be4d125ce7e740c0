"""Make voice files of latents in torch's format: `python -m services.synth_worker.engines.xtts FILE FOLDER`.

FILE maps the names of speakers to latents, as `speakers_xtts.pth` of the release does, or contains those of one
speaker. `python -m services.admin voices import` stores the voice files. No code in FILE is run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from services.common.voice_file import SUFFIX, draft_voice, pack_voice
from services.common.wire.failures import PipelineError
from services.synth_worker.engines.xtts.speakers import load_speakers


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m services.synth_worker.engines.xtts", description=__doc__
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path, help="for the voice files")
    parser.add_argument(
        "--model", default="", help="fingerprint of the model of the latents; default: unknown"
    )
    parser.add_argument("--width", type=int, default=1024, help="of its decoder")
    choice = parser.parse_args(arguments)
    try:
        for line in write_voice_files(choice.file, choice.folder, choice.model, choice.width):
            print(line)  # noqa: T201  # the output of a command-line program
    except (PipelineError, OSError) as error:
        sys.exit(f"xtts: {error}")


def write_voice_files(path: Path, folder: Path, model: str, width: int) -> list[str]:
    """Write one voice file per speaker, and return the lines to print. Raises PipelineError, OSError."""
    speakers = load_speakers(path, width)
    if not speakers:
        raise FileNotFoundError(f"{path} does not exist or contains no speakers")
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (name, voice) in enumerate(speakers.items(), 1):
        computed = voice.to_bytes(model)
        target = folder / f"{number:03d}{SUFFIX}"  # names of speakers can be no names of files
        target.write_bytes(pack_voice(draft_voice("public", name, [computed]), [], [computed]))
        lines.append(f"{target}: {name}")
    return lines


if __name__ == "__main__":
    main()

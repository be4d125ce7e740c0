"""Output files that appear under their name only when they are complete."""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from voice_cloning_client.audio import WAV_HEADER_BYTES, wav_sizes
from voice_cloning_client.errors import InvalidInput


class NewFile:
    """A file that is written under a temporary name, and renamed by `keep`; without it, it is deleted.

    A device or a pipe is written directly.
    """

    def __init__(self, path: str | Path) -> None:
        """Create the temporary file. Raises InvalidInput if the folder cannot be written."""
        self.path = Path(path).expanduser()
        self._temporary: str | None = None

        try:
            if self.path.is_dir():
                raise InvalidInput(f"{path} is a folder; name a file")
            if self.path.exists() and not self.path.is_file():
                self._file: BinaryIO = self.path.open("wb")
                return
            descriptor, self._temporary = tempfile.mkstemp(
                dir=self.path.parent, prefix=".voice-cloning-", suffix=".part"
            )
            self._file = os.fdopen(descriptor, "w+b")
        except (OSError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            reason = error.strerror if isinstance(error, OSError) else "its name is invalid"
            raise InvalidInput(f"{path} cannot be written: {reason}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._temporary is not None:
            Path(self._temporary).unlink(missing_ok=True)

    def write(self, content: bytes) -> None:
        """Append bytes. Raises InvalidInput if the disk is full."""
        try:
            self._file.write(content)
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be written: {error.strerror}") from None

    def truncate(self) -> None:
        """Start again with an empty file."""
        if self._temporary is not None:
            self._file.seek(0)
            self._file.truncate()

    def set_wav_sizes(self) -> None:
        """Write the actual sizes into the header of a streamed WAV."""
        if self._temporary is None:
            return

        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        for offset, content in wav_sizes(self._file.read(WAV_HEADER_BYTES), size):
            self._file.seek(offset)
            self._file.write(content)

    def keep(self) -> None:
        """Give the file its name. Raises InvalidInput if the disk is full."""
        try:
            self._file.close()
            if self._temporary is not None:
                umask = os.umask(0)
                os.umask(umask)
                Path(self._temporary).chmod(0o666 & ~umask)
                Path(self._temporary).replace(self.path)
                self._temporary = None
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be written: {error.strerror}") from None

"""Files by their bytes: hashed once, and known to be the same later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evals.errors import FileUnavailable, Reason
from evals.records import VideoFacts, file_sha256, is_regular

CHANGED = "the file has changed since it was recorded; run `generate` again"


class Measured(NamedTuple):
    """A video's facts, and the SHA-256 and size of the bytes they are of."""

    facts: VideoFacts
    sha256: str
    size: int


@dataclass(frozen=True)
class HashedFile:
    """A file and the SHA-256 that its bytes had."""

    path: Path
    sha256: str
    size: int
    _seen: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> HashedFile:
        """Hash a file. Raises `OSError`."""
        seen = _seen(path)
        return cls(path, file_sha256(path), path.stat().st_size, seen)

    def is_untouched(self) -> bool:
        """Whether the system saw nobody write to the file, or another take its name and give it back."""
        try:
            return _seen(self.path) == self._seen
        except OSError:
            return False

    def is_unchanged(self) -> bool:
        """Whether the file holds the same bytes now: the system's word for it, else a second hash."""
        try:
            return self.is_untouched() or file_sha256(self.path) == self.sha256
        except OSError:
            return False


def _seen(path: Path) -> tuple[int, ...]:
    """What the system changes when a file is written or another takes its name."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def recorded_file(path: Path, sha256: str) -> HashedFile:
    """A video that was recorded with a hash. Raises `FileUnavailable` where it is gone or another one."""
    found = hashed_file(path)
    if found.sha256 != sha256:
        raise FileUnavailable(CHANGED, Reason.FILE_CHANGED)
    return found


def hashed_file(path: Path) -> HashedFile:
    """A video with its hash. Raises `FileUnavailable`."""
    try:
        if not is_regular(path):
            raise FileUnavailable("no such file", Reason.FILE_MISSING)
        return HashedFile.of(path)
    except OSError as error:
        raise FileUnavailable(f"cannot be read: {error.strerror}", Reason.FILE_UNREADABLE) from None


def still_the_same(file: HashedFile) -> None:
    """Raises `FileUnavailable` where a file was touched since it was hashed."""
    if not file.is_untouched():
        raise FileUnavailable(CHANGED, Reason.FILE_CHANGED)

"""The folder that a report is written into: whose it is, one writer at a time, and what older reports
left."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evals.errors import RunError, RunLocked, UsageError
from evals.report import figures
from evals.report.page import DATA, MARK, data, media

PAGE = "index.html"
FILES = (
    "summary.md", "scores.csv", "distributions.csv", "means.csv", "pairs.csv", "standings.csv",
    "categories.csv", "problems.csv", "comparison.json", "recipe.json", PAGE,
)  # fmt: skip
FOLDERS = {
    figures.FOLDER: figures.OURS,
    DATA: data.OURS,
    media.MEDIA: media.OURS,
    media.ORIGINALS: media.OUR_ORIGINALS,
}
"""Of a report, with what our files in them are called."""
MADE = ".report-"
_LEFT = re.compile(r"\.[0-9a-f]{20}[^/]*\.(mp4|jpg|partial)")


def check_place(out: Path, force: bool = False) -> None:
    """Raises `UsageError` for a folder with files that no report wrote and a report would overwrite."""
    page = out / PAGE
    try:
        if force or not out.exists() or (page.exists() and MARK.encode() in page.read_bytes()[:4096]):
            _check_folders(out)
            return
        if page.exists():
            raise UsageError(
                f"{page}: no report wrote this page; choose another --out, or overwrite it: --force"
            )
        if found := next(_in_the_way(out), None):
            raise UsageError(
                f"{found}: is in the way, and {out} holds no report's page; choose another --out, or"
                f" overwrite"
                " it: --force"
            )
        _check_folders(out)
    except OSError as error:
        raise RunError(f"{page}: cannot be read: {error.strerror}; choose another --out") from None


def _in_the_way(out: Path) -> Iterator[Path]:
    """Files that a report would overwrite. `media/` may be there: it is what a report that was stopped
    made."""
    yield from (path for name in FILES if (path := out / name).exists())
    for folder in (figures.FOLDER, DATA):
        yield from (path for path in (out / folder).glob("*") if FOLDERS[folder].fullmatch(path.name))


def _check_folders(out: Path) -> None:
    for name in FOLDERS:
        path = out / name
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise UsageError(f"{path}: must be a folder of the report's own; choose another --out")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """The right to write a report; what a killed command left is cleared. Raises `RunLocked` where another
    command has it."""
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLocked(
                f"{out}: another command is writing this report; wait for it or choose another --out"
            ) from None
        except OSError:
            pass  # a file system that cannot lock: one writer is the user's to see to
        for path in out.glob(f"{MADE}*"):
            shutil.rmtree(path, ignore_errors=True)
        for folder in (media.MEDIA, media.ORIGINALS):
            clear(out / folder, _LEFT, set())
        yield
    finally:
        os.close(handle)


def publish(made: Path, out: Path) -> set[str]:
    """Put all files in place and give their names. An older page stays until all else is there; where there
    is none, the page is the first, and says whose folder this is."""
    new = not (out / PAGE).exists()
    files = sorted((p for p in made.rglob("*") if p.is_file()), key=lambda p: (p.name == PAGE) != new)
    for path in files:
        place = out / path.relative_to(made)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
    return {path.name for path in files}


def clear(folder: Path, ours: re.Pattern[str], kept: set[str]) -> None:
    """Delete what an older report left, and nothing that is not ours."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if ours.fullmatch(path.name) and path.name not in kept:
            with suppress(FileNotFoundError):
                path.unlink()

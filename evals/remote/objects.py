"""Object stores and other file systems by URL, through fsspec: `s3://`, `gs://`, `file://`, `memory://`.

A file that is there already, by the store's own mark of it (its ETag, or size and time), is not moved again.
What fails is tried again, longer and longer apart; then `StoreError` names the file, everything that arrived
stays, and the same call goes on from there.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.errors import StoreError, UsageError
from evals.records import digest
from evals.remote.pacing import Pacing
from evals.runs.journal import settle, write_atomically

log = logging.getLogger(__name__)

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
TRIES = 5
AT_ONCE = 8
NOTE_EVERY = 200  # files between notes of what was moved
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_url(text: str) -> bool:
    """Whether a text names a place in a store: `s3://bucket/clips`."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text) is not None


@dataclass(frozen=True)
class Place:
    """A folder in a store. `system` is fsspec's file system, `root` its path there."""

    url: str
    system: Any
    root: str

    @classmethod
    def at(cls, url: str) -> Place:
        """Open a store. Raises `UsageError` for a URL that nothing here can open."""
        import fsspec

        kind = url.partition("://")[0]
        try:
            system, root = fsspec.core.url_to_fs(url)
        except ImportError:
            need = f": `pip install 't2v-evals[{EXTRAS[kind]}]'`" if kind in EXTRAS else ""
            raise UsageError(f"{url}: the package that opens {kind}:// is not installed{need}") from None
        except ValueError as error:
            raise UsageError(f"{url}: {str(error).splitlines()[0]}") from None
        return cls(url.rstrip("/"), system, root.rstrip("/"))

    def files(self) -> dict[str, str]:
        """The files below, by path relative to the folder, each with the store's mark of it. Raises
        `StoreError`."""

        def listed() -> Mapping[str, Any]:
            self.system.invalidate_cache()
            found: Mapping[str, Any] = self.system.find(self.root, detail=True)
            return found

        below = self.root.strip("/") + "/"
        found = {}
        for path, about in _tried(listed, self.url).items():
            name = str(path).strip("/").removeprefix(below)
            if about.get("type") == "file" and name and not name.endswith("/"):
                found[name] = _mark(about)
        return found

    def put(self, source: Path, name: str) -> str:
        """Copy a file there; gives its mark. Raises `StoreError`."""
        there = f"{self.root}/{name}"

        def sent() -> str:
            self.system.makedirs(there.rpartition("/")[0], exist_ok=True)
            self.system.put_file(str(source), there)
            self.system.invalidate_cache(there.rpartition("/")[0])
            about = self.system.info(there)
            if about.get("size") != source.stat().st_size:
                raise OSError(f"arrived with {about.get('size')} bytes of {source.stat().st_size}")
            return _mark(about)

        return str(_tried(sent, f"{self.url}/{name}"))

    def get(self, name: str, place: Path, root: Path) -> None:
        """Copy a file from there to `place`, whole or not at all. Raises `StoreError`."""
        partial = place.with_name(f".{place.name}.partial")

        def fetched() -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            self.system.get_file(f"{self.root}/{name}", str(partial))
            partial.replace(place)

        try:
            _tried(fetched, f"{self.url}/{name}")
        finally:
            partial.unlink(missing_ok=True)
        settle(place, root)


def _mark(about: Mapping[str, Any]) -> str:
    """What changes when a file is written again."""
    tag = about.get("ETag") or about.get("etag") or about.get("md5Hash")
    when = about.get("mtime") or about.get("created") or about.get("LastModified") or ""
    if isinstance(when, datetime):
        when = when.timestamp()
    return str(tag) if tag else f"{about.get('size')} {when}"


def _tried(action: Callable[[], Any], what: str) -> Any:
    pacing = Pacing(pause=0.2)
    for attempt in range(TRIES):
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - every store has exceptions of its own
            reason = str(error).partition("\n")[0] or type(error).__name__
            if isinstance(error, FINAL) or attempt == TRIES - 1:
                raise StoreError(
                    f"{what}: {reason:.300}; what has arrived stays, and the same command goes on from there"
                ) from None
            log.info("%s: %s; trying again", what, reason)
            pacing.wait(pacing.before(attempt, None))
    raise AssertionError  # pragma: no cover


def upload(source: Path, target: Place, last: str, note: Path) -> int:
    """Copy a folder's files there, `last` as the last one; gives how many were sent. What was sent stands in
    `note`: a file that neither side has changed since is not sent again."""
    known, there = _read(note), target.files()
    names = [name for name in _files(source) if name != last]
    lacking = [n for n in names if known.get(n) != [_local(source / n), there.get(n, "")]]

    def send(name: str) -> list[str]:
        before = _local(source / name)
        return [before, target.put(source / name, name)]

    return _moved(lacking, send, known, note) + _moved([last], send, known, note)


def download(source: Place, target: Path, last: str, note: Path) -> int:
    """Copy a store's folder here, `last` as the last one if it is there; gives how many were fetched."""
    known, there = _read(note), source.files()
    for name in there:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise StoreError(f"{source.url}/{name}: would be written outside of {target}")
    lacking = [n for n, mark in there.items() if n != last and known.get(n) != [_local(target / n), mark]]

    def fetch(name: str) -> list[str]:
        source.get(name, target / name, target)
        return [_local(target / name), there[name]]

    final = [last] if last in there else []
    return _moved(lacking, fetch, known, note) + _moved(final, fetch, known, note)


def _moved(
    names: Sequence[str], move: Callable[[str], list[str]], known: dict[str, list[str]], note: Path
) -> int:
    """Move files, several at a time, and note both sides' marks of each; gives how many. The first failure is
    raised once all that is under way has ended."""
    count = 0
    failed: StoreError | None = None
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects") as threads:
        moving = {threads.submit(move, name): name for name in names}
        try:
            for future in as_completed(moving):
                if future.cancelled():
                    continue
                try:
                    known[moving[future]] = future.result()
                except StoreError as error:
                    failed = failed or error
                    for other in moving:
                        other.cancel()
                    continue
                count += 1
                if count % NOTE_EVERY == 0:
                    _write(note, known)
        finally:
            if count:
                _write(note, known)
    if failed is not None:
        raise failed
    return count


def mirrored(url: str) -> Path:
    """A local copy of a folder in a store, brought up to date, in `$T2V_EVALS_OBJECTS` or the user's cache.
    Raises `StoreError` or `UsageError`."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    base = Path(os.environ.get("T2V_EVALS_OBJECTS") or Path(cache) / "t2v-evals" / "objects")
    source = Place.at(url)
    place = base / f"{source.root.rpartition('/')[2] or 'root'}-{digest(source.url)[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    there = source.files()
    if not there:
        raise UsageError(f"{url}: holds no files")
    count = download(source, place, "", place / ".fetched.json")
    for path in [p for p in _files(place) if p not in there]:
        (place / path).unlink()  # it is not in the store any more
    log.info("%s: %d of %d files fetched into %s", url, count, len(there), place)
    return place


def _files(folder: Path) -> list[str]:
    """A folder's files but for hidden ones, in order."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(str(p) for p in found if not any(part.startswith(".") for part in p.parts))


def _local(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _read(note: Path) -> dict[str, list[str]]:
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(note: Path, known: Mapping[str, list[str]]) -> None:
    write_atomically(note, json.dumps(known).encode())

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
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from evals.errors import StoreError, UsageError
from evals.records import digest
from evals.remote.pacing import Pacing
from evals.runs.journal import settle, write_atomically
from evals.runs.lock import waited
from evals.runs.segments import KINDS

log = logging.getLogger(__name__)

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
TRIES = 5
AT_ONCE = 8
NOTE_EVERY = 200  # files between notes of what was moved
BLOCK = 1 << 20
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_url(text: str) -> bool:
    """Whether a text names a place in a store: `s3://bucket/clips`."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text) is not None


@dataclass(frozen=True)
class Listed:
    """A file in a store: its `mark` changes when it is written again; `size` in bytes."""

    mark: str
    size: int


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

        kind, _, rest = url.partition("://")
        if ":" in rest.partition("/")[0].rpartition("@")[0] or "?" in rest:
            raise UsageError(
                f"{kind}://…: the URL holds a password or a query, which runs would record; give the"
                " store's keys in the environment"
            )
        try:
            system, root = fsspec.core.url_to_fs(url)
        except ImportError:
            need = f": `pip install 't2v-evals[{EXTRAS[kind]}]'`" if kind in EXTRAS else ""
            raise UsageError(f"{url}: the package that opens {kind}:// is not installed{need}") from None
        except ValueError as error:
            raise UsageError(f"{url}: {str(error).splitlines()[0]}") from None
        return cls(url.rstrip("/"), system, root.rstrip("/"))

    def files(self) -> dict[str, Listed]:
        """The files below but for hidden ones, by path relative to the folder. Raises `StoreError`."""

        def listed() -> Mapping[str, Any]:
            self.system.invalidate_cache()
            found: Mapping[str, Any] = self.system.find(self.root, detail=True)
            return found

        below = self.root.strip("/") + "/"
        found = {}
        for path, about in _tried(listed, self.url).items():
            name = str(path).lstrip("/").removeprefix(below)
            parts = name.split("/")
            if about.get("type") != "file" or not all(parts) or any(part.startswith(".") for part in parts):
                continue
            found[name] = Listed(_mark(about), int(about.get("size") or 0))
        return found

    def read(self, name: str) -> bytes:
        """A small file. Raises `StoreError`."""
        return bytes(_tried(lambda: self.system.cat_file(f"{self.root}/{name}"), f"{self.url}/{name}"))

    def remove(self, name: str) -> None:
        """Remove a file that is there. Raises `StoreError`."""
        _tried(lambda: self.system.rm_file(f"{self.root}/{name}"), f"{self.url}/{name}")

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
        partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}.partial")

        def fetched() -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            self.system.get_file(f"{self.root}/{name}", str(partial))
            partial.replace(place)

        try:
            _tried(fetched, f"{self.url}/{name}")
        finally:
            with suppress(OSError):
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
    """Make a store's folder hold what this one holds, `last` as the last file; gives how many were sent.

    What was sent stands in `note`: a file that neither side has changed since is not sent again. `last` is
    taken away first, so a copy that holds it is whole. Raises `StoreError`, also for a journal there of which
    this folder does not have all.
    """
    known, there = _read(note), target.files()
    names = [name for name in _files(source) if name != last]
    lacking = [n for n in names if n not in there or known.get(n) != [_local(source / n), there[n].mark]]
    missing = [name for name in there if name not in names and name != last]
    gone = [name for name in missing if name in known and known[name][1] == there[name].mark]
    for name in (name for name in there if _is_journal(name) and name not in gone):
        size = there[name].size
        if name in missing or (name in lacking and not _begins(source / name, target, name, size)):
            raise StoreError(f"{target.url}/{name}: holds what {source / name} lacks; choose another place")
    _write(note, known)  # from here on the store's folder is ours
    if last in there and (lacking or gone):
        target.remove(last)

    def send(name: str) -> list[str]:
        before = _local(source / name)
        return [before, target.put(source / name, name)]

    count = _moved(lacking, send, known, note)
    for name in gone:
        target.remove(name)
        del known[name]
    return count + _moved([last], send, known, note)


def download(source: Place, target: Path, last: str, note: Path) -> int:
    """Make a folder here hold what the store's holds, `last` as the last file if it is there; gives how many
    were fetched. What was fetched before and is not there any more is removed.

    Raises `StoreError`, also for a journal here of which the store does not have all.
    """
    known, there = _read(note), source.files()
    gone = [name for name in known if name not in there and known[name][0] == _local(target / name)]
    lacking = [n for n in there if n != last and known.get(n) != [_local(target / n), there[n].mark]]
    if outside := next((name for name in there if ".." in name.split("/")), None):
        raise StoreError(f"{source.url}/{outside}: would be written outside of {target}")
    for name in (name for name in _files(target) if _is_journal(name) and name not in gone):
        if name not in there or (name in lacking and not _begins_there(target / name, source, name)):
            raise StoreError(f"{target / name}: holds what {source.url}/{name} lacks; choose another folder")

    def fetch(name: str) -> list[str]:
        source.get(name, target / name, target)
        return [_local(target / name), there[name].mark]

    final = [last] if last in there else []
    count = _moved(lacking, fetch, known, note)
    for name in gone:
        (target / name).unlink(missing_ok=True)
        del known[name]
    return count + _moved(final, fetch, known, note)


def _is_journal(name: str) -> bool:
    """Whether a file is a journal of a run, which only grows."""
    return name.partition("/")[0] in KINDS and name.endswith(".jsonl")


def _begins(here: Path, place: Place, name: str, size: int) -> bool:
    """Whether a file here begins with all that the store's holds."""
    with here.open("rb") as file:
        return here.stat().st_size >= size and _alike(file, place, name, size)


def _begins_there(here: Path, place: Place, name: str) -> bool:
    """Whether the store's file begins with all that the one here holds."""
    with here.open("rb") as file:
        return _alike(file, place, name, here.stat().st_size)


def _alike(file: IO[bytes], place: Place, name: str, size: int) -> bool:
    """Whether a file and the store's have the same first `size` bytes."""

    def compared() -> bool:
        file.seek(0)
        with place.system.open(f"{place.root}/{name}", "rb") as other:
            for start in range(0, size, BLOCK):
                length = min(BLOCK, size - start)
                if file.read(length) != other.read(length):
                    return False
        return True

    return bool(_tried(compared, f"{place.url}/{name}"))


def _moved(
    names: Sequence[str], move: Callable[[str], list[str]], known: dict[str, list[str]], note: Path
) -> int:
    """Move files, several at a time, and note both sides' marks of each; gives how many. After the first
    failure, or Ctrl-C, what is under way ends and nothing else begins."""
    count = 0
    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")
    moving = {threads.submit(move, name): name for name in names}
    try:
        for future in as_completed(moving):
            known[moving[future]] = future.result()
            count += 1
            if count % NOTE_EVERY == 0:
                _write(note, known)
    finally:
        threads.shutdown(cancel_futures=True)
        done = [f for f in moving if f.done() and not f.cancelled() and f.exception() is None]
        known.update({moving[future]: future.result() for future in done})
        if done:
            _write(note, known)
    return count


def mirrored(url: str) -> Path:
    """A local copy of a folder in a store, brought up to date, in `$T2V_EVALS_OBJECTS` or the user's cache.
    Raises `StoreError` or `UsageError`."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    base = Path(os.environ.get("T2V_EVALS_OBJECTS") or Path(cache) / "t2v-evals" / "objects")
    source = Place.at(url)
    place = base / f"{source.root.rpartition('/')[2] or 'root'}-{digest(source.url)[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    with waited(place):  # processes of several shards ask for the same
        there = source.files()
        if not there:
            raise UsageError(f"{source.url}: holds no files")
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

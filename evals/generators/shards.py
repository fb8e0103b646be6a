"""WebDataset-like tar shards of clips: what they hold, and taking a clip out."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from evals.errors import ManifestError, Reason, is_machine_fault
from evals.generators.base import Generation, failed
from evals.generators.layouts import SUFFIXES
from evals.records import Clip


@dataclass(frozen=True)
class ShardClip:
    """A video in a shard, with what its neighbours say of it."""

    path: Path
    member: str
    text: str
    prompt_id: str | None
    seed: int | None
    category: str | None


def clips_of(folder: Path) -> list[ShardClip]:
    """Videos of WebDataset-like tar files: `key.mp4` with `key.json` or `key.txt` beside it. Raises
    `ManifestError`."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        parts: dict[str, dict[str, tarfile.TarInfo]] = defaultdict(dict)
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    stem, dot, suffix = member.name.rpartition(".")
                    if member.isfile() and dot:
                        parts[stem][f".{suffix.lower()}"] = member
                for key, members in parts.items():
                    kind = next((s for s in members if s in SUFFIXES), None)
                    if kind is not None:
                        found.append(_shard_clip(tar, path, key, members, members[kind].name))
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ManifestError(f"cannot be read as tar: {error}", path) from None
    return found


def _shard_clip(
    tar: tarfile.TarFile, path: Path, key: str, members: dict[str, tarfile.TarInfo], name: str
) -> ShardClip:
    def read(suffix: str) -> str:
        file = tar.extractfile(members[suffix]) if suffix in members else None
        return "" if file is None else file.read(1 << 20).decode("utf-8", "replace").strip()

    data: dict[str, object] = {}
    if ".json" in members:
        try:
            loaded = json.loads(read(".json"))
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{key}.json is not valid JSON: {error}", path) from None
        data = loaded if isinstance(loaded, dict) else {}
    text = next((str(data[k]) for k in ("prompt", "caption", "text") if data.get(k)), read(".txt"))
    if not text.strip():
        raise ManifestError(f"{key}: neither {key}.json nor {key}.txt says what the prompt is", path)
    seed = data.get("seed")
    if seed is not None and not isinstance(seed, int):
        raise ManifestError(f"{key}.json: seed {seed!r} is not a whole number", path)
    prompt_id, category = data.get("prompt_id"), data.get("category")
    return ShardClip(
        path, name, text.strip(), str(prompt_id) if prompt_id else None, seed,
        str(category) if category else None,
    )  # fmt: skip


def unpacked(clip: Clip, out: Path) -> Generation:
    """A shard's video as a file of its own, in the run."""
    place = out.with_suffix(Path(clip.member).suffix.lower())
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(clip.path, "r:") as tar:
            member = tar.extractfile(clip.member)
            if member is None:
                return failed(Reason.FILE_UNREADABLE, f"{clip.path.name}: {clip.member} is not a file")
            if tar.getmember(clip.member).size > clip.path.stat().st_size:  # a sparse file
                message = f"{clip.path.name}: {clip.member} is larger than the archive that holds it"
                return failed(Reason.FILE_UNREADABLE, message)
            with partial.open("wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
        partial.replace(place)
    except (tarfile.TarError, OSError, EOFError, KeyError) as error:
        message = f"{clip.path.name}: {clip.member}: {error}"
        return failed(Reason.FILE_UNREADABLE, message, transient=is_machine_fault(error))
    return Generation("ok", place)

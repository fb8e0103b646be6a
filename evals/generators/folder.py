"""`folder:PATH`: clips that exist already. Nothing is ever written there.

A folder is described by a manifest `videos.jsonl` or `videos.csv` with the columns `path`, `prompt` and,
if wanted, `prompt_id`, `seed`, `category`; or it is a run folder of this suite; or it is laid out as
one, `<prompt id>/<seed>-….mp4`, or as another suite wants it (`layouts`), and `--prompts` says what the names
mean; or it holds WebDataset-like shards. A video is its bytes: a clip that was replaced is scored anew.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import tarfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from evals.errors import EvalsWarning, ManifestError, UsageError, nearest
from evals.generators import Generation, layouts
from evals.records import (
    Prompt,
    PromptSet,
    Record,
    Request,
    Spec,
    digest,
    explain,
    file_sha256,
    is_regular,
)
from evals.rundir import RunDir

MANIFESTS = ("videos.jsonl", "videos.csv")
COLUMNS = ("path", "prompt", "prompt_id", "seed", "category")
MAX_MANIFEST_BYTES = 500_000_000


@dataclass(frozen=True)
class _Clip:
    prompt: Prompt
    seed: int
    path: Path
    line: int = 0
    member: str = ""  # of a shard


class Folder:
    """Existing clips as a generator. `-o manifest=NAME` picks another manifest in the folder;
    `-o follow_symlinks=true` admits links that lead out of it; `--layout` names what is not detected."""

    class Options(Record):
        manifest: str | None = None
        follow_symlinks: bool = False
        layout: str | None = None

    accepts: ClassVar[frozenset[str]] = frozenset()
    fixed = True

    def __init__(self, argument: str, options: Options) -> None:
        try:
            self.folder = Path(argument).expanduser()
            if not self.folder.is_dir():
                raise UsageError(f"folder:{argument}: no such folder")
            argument.encode()
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"folder:{argument!r}: cannot be read: {error}") from None
        self.options = options
        if options.layout:
            layouts.checked(options.layout)
        self.preflight: layouts.Preflight | None = None
        self.label = f"folder:{self.folder.resolve().name or argument}"
        params: dict[str, Any] = {"path": str(self.folder.resolve())}
        self.spec = Spec(name="folder", version=1, params={**params, **options.to_json()})
        self._clips: dict[tuple[str, int], _Clip] = {}
        self._hashes: dict[Path, str | None] = {}

    def plan(self, prompts: PromptSet | None, seeds: Sequence[int] | None) -> list[tuple[Prompt, int]]:
        """The folder's own prompts and seeds; with `--prompts`, those prompts, found by id or words.

        Prompts and seeds that were asked for and have no clip stay in the plan: they will be `failed`.
        """
        clips = list(self._read(prompts))
        if prompts is None:
            self._clips = {(c.prompt.id, c.seed): c for c in clips}
            order = [(c.prompt, c.seed) for c in clips]
            if seeds is None:
                return order
            known = {p.id: p for p, _ in order}
            return [(p, s) for p in known.values() for s in seeds]
        by_id = {p.id: p for p in prompts.prompts}
        by_words = {p.text: p for p in prompts.prompts}
        folded: dict[str, list[Prompt]] = defaultdict(list)
        for p in prompts.prompts:
            folded[p.text.casefold()].append(p)
        other: list[str] = []
        for clip in clips:
            alike = folded[clip.prompt.text.casefold()]
            near = alike[0] if len(alike) == 1 else None
            prompt = by_id.get(clip.prompt.id) or by_words.get(clip.prompt.text) or near
            if prompt is not None:
                self._clips.setdefault((prompt.id, clip.seed), clip)
                if prompt.text.casefold() != clip.prompt.text.casefold():
                    other.append(prompt.id)
        if other:
            warnings.warn(
                f"{self.label}: {len(other)} clips have other words than the prompts they are taken for, by"
                f" their ids ({', '.join(other[:3])}); scores go by the words of --prompts",
                EvalsWarning,
                stacklevel=2,
            )
        planned = []
        for prompt in prompts.prompts:
            there = sorted(s for p, s in self._clips if p == prompt.id)
            planned += [(prompt, s) for s in (seeds or there or (0,))]
        return planned

    def identity(self, prompt: Prompt, seed: int) -> Any:
        clip = self._clips.get((prompt.id, seed))
        if clip is None:
            return None
        return [self._hash(clip.path), clip.member] if clip.member else self._hash(clip.path)

    def _hash(self, path: Path) -> str | None:
        if path not in self._hashes:
            try:
                self._hashes[path] = file_sha256(path) if is_regular(path) else None
            except OSError:
                self._hashes[path] = None
        return self._hashes[path]

    def generate(self, request: Request, out: Path) -> Generation:
        clip = self._clips.get((request.prompt.id, request.seed))
        if clip is None:
            why = self.preflight.contested.get(request.prompt.id) if self.preflight else None
            reason = why or f"{self.label} has no clip of this prompt with this seed"
            return Generation("failed", reason=reason)
        if not is_regular(clip.path):
            where = f" (line {clip.line} of the manifest)" if clip.line else ""
            return Generation("failed", reason=f"{clip.path.name}: no such file{where}")
        if clip.member:
            return _unpacked(clip, out)
        return Generation("ok", clip.path.resolve(), self._hash(clip.path))

    def _read(self, prompts: PromptSet | None) -> Iterator[_Clip]:
        layout = self.options.layout
        if layout in (None, "manifest"):
            for name in (self.options.manifest,) if self.options.manifest else MANIFESTS:
                path = self.folder / name
                if is_regular(path):
                    return self._from_manifest(path, prompts)
                if self.options.manifest:
                    raise ManifestError("no such manifest", path)
        if layout in (None, "run") and (self.folder / "run.json").is_file():
            return self._from_run()
        if layout in (None, "webdataset") and any(self.folder.glob("*.tar")):
            return self._from_shards()
        if prompts is not None:
            if layout in (None, "ids") and (laid_out := list(self._from_ids(prompts))):
                return iter(laid_out)
            other = layout if layout in layouts.LAYOUTS else None
            if layout is None:
                other = layouts.detect(self.folder, prompts)
            if other is not None:
                return self._from_layout(prompts, other)
        if layout in layouts.LAYOUTS:
            raise UsageError(f"--layout {layout}: --prompts says what the clips are of")
        hint = f"is not laid out as {layout!r}" if layout else (
            f"holds none of {' and '.join(MANIFESTS)}, is no run folder, and its names fit no layout"
            + ("" if prompts else " (with --prompts, other suites' layouts are tried)")
        )  # fmt: skip
        raise ManifestError(
            f'{hint}; write a videos.jsonl with one line per clip: {{"path": "clip.mp4", "prompt": "…"}}',
            self.folder,
        )

    def _from_layout(self, prompts: PromptSet, layout: str) -> Iterator[_Clip]:
        self.preflight = layouts.match(self.folder, prompts, layout)
        for one in self.preflight.found:
            place = self._inside(one.path.relative_to(self.folder), self.folder, 0)
            yield _Clip(one.prompt, one.seed, place)

    def _from_shards(self) -> Iterator[_Clip]:
        taken: dict[tuple[str, int], int] = {}
        for number, one in enumerate(layouts.shards(self.folder), 1):
            row = {"path": one.path.name, "prompt": one.text, "prompt_id": one.prompt_id, "seed": one.seed,
                   "category": one.category}  # fmt: skip
            clip = self._clip(one.path, 0, row, {}, taken)
            if (clip.prompt.id, clip.seed) in taken:
                raise ManifestError(
                    f"{one.member}: prompt {clip.prompt.id!r} with seed {clip.seed} is there already",
                    one.path,
                )
            taken[clip.prompt.id, clip.seed] = number
            yield replace(clip, member=one.member)

    def _from_run(self) -> Iterator[_Clip]:
        run = RunDir(self.folder)
        for (prompt_id, seed), sample in run.samples().items():
            if sample.outcome == "ok":
                yield _Clip(run.prompt(prompt_id), seed, run.video_path(sample))

    def _from_ids(self, prompts: PromptSet) -> Iterator[_Clip]:
        for prompt in prompts.prompts:
            held: dict[int, Path] = {}
            for path in sorted((self.folder / prompt.id).glob("[!.]*")):
                match = re.fullmatch(r"([0-9]+)(-[0-9a-f]+)?", path.stem)
                if not match or path.suffix.lower() not in layouts.SUFFIXES:
                    continue
                # A run keeps what was made from other words; the digest of these is in the right one's name.
                if int(match[1]) not in held or match[2] == f"-{digest(prompt.text)[:8]}":
                    held[int(match[1])] = path
            for seed, path in held.items():
                yield _Clip(prompt, seed, self._inside(path.relative_to(self.folder), self.folder, 0))

    def _from_manifest(self, manifest: Path, prompts: PromptSet | None) -> Iterator[_Clip]:
        known = {p.id: p for p in prompts.prompts} if prompts else {}
        by_place: dict[tuple[str, int], int] = {}
        texts: dict[str, tuple[str, int]] = {}
        odd: set[str] = set()
        count = 0
        for line, row in _rows(manifest):
            count += 1
            odd |= set(row) - set(COLUMNS)
            clip = self._clip(manifest, line, row, known, by_place)
            at = (clip.prompt.id, clip.seed)
            if at in by_place:
                raise ManifestError(
                    f"prompt {at[0]!r} with seed {at[1]} was on line {by_place[at]} already", manifest, line
                )
            by_place[at] = line
            text, first = texts.setdefault(clip.prompt.id, (clip.prompt.text, line))
            if text != clip.prompt.text:
                raise ManifestError(
                    f"prompt id {at[0]!r} has other words than on line {first}", manifest, line
                )
            yield clip
        if not count:
            raise ManifestError("lists no clips", manifest)
        if odd:
            hints = ", ".join(f"{key!r}{nearest(key, COLUMNS)}" for key in sorted(odd))
            warnings.warn(f"{manifest}: columns that are not used: {hints}", EvalsWarning, stacklevel=2)

    def _clip(
        self,
        manifest: Path,
        line: int,
        row: dict[str, Any],
        known: dict[str, Prompt],
        taken: dict[tuple[str, int], int],
    ) -> _Clip:
        path, text = row.get("path"), row.get("prompt")
        for name in COLUMNS:
            value = row.get(name)
            if name != "seed" and not isinstance(value, str | None):
                raise ManifestError(f"{name!r} is {value!r:.40}, not text", manifest, line)
            if isinstance(value, str) and ("\0" in value or not _encodable(value)):
                raise ManifestError(f"{name!r} holds a character that cannot be written", manifest, line)
        prompt_id = row.get("prompt_id") or None
        if not text and prompt_id in known:
            text = known[str(prompt_id)].text
        for name, value in (("path", path), ("prompt", text)):
            if not value or not value.strip():
                raise ManifestError(f"{name!r} is missing or empty", manifest, line)
        text = str(text).strip()
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
        try:
            prompt = Prompt.model_validate({
                "id": prompt_id or f"{slug}-{digest(text)[:8]}".strip("-"),
                "text": text,
                "category": row.get("category") or "uncategorised",
            })  # fmt: skip
        except ValidationError as error:
            raise ManifestError(explain(error), manifest, line) from None
        seed = row.get("seed")
        if seed is None or seed == "":
            number = 0
            while (prompt.id, number) in taken:
                number += 1
        else:
            try:
                number = int(str(seed))
            except ValueError:
                raise ManifestError(f"seed {seed!r} is not a whole number", manifest, line) from None
        return _Clip(prompt, number, self._inside(Path(str(path)), manifest, line), line)

    def _inside(self, path: Path, manifest: Path, line: int) -> Path:
        """The clip's place, which must lie in the folder."""
        if path.is_absolute() or ".." in path.parts:
            raise ManifestError(f"path {str(path)!r} leads out of the folder", manifest, line or None)
        whole = self.folder / path
        try:
            inside = whole.resolve().is_relative_to(self.folder.resolve())
        except (OSError, RuntimeError):
            return whole  # a link to itself or a path too long: this sample will fail
        if not self.options.follow_symlinks and not inside:
            raise ManifestError(
                f"path {str(path)!r} is a link that leads out of the folder; if that is meant, add"
                " -o follow_symlinks=true",
                manifest,
                line or None,
            )
        return whole


def _unpacked(clip: _Clip, out: Path) -> Generation:
    """A shard's video as a file of its own, in the run."""
    place = out.with_suffix(Path(clip.member).suffix.lower())
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(clip.path) as tar:
            member = tar.extractfile(clip.member)
            if member is None:
                return Generation("failed", reason=f"{clip.path.name}: {clip.member} is no file")
            with partial.open("wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
        partial.replace(place)
    except (tarfile.TarError, OSError, EOFError, KeyError) as error:
        return Generation("failed", reason=f"{clip.path.name}: {clip.member}: {error}")
    return Generation("ok", place)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers. Raises `ManifestError`."""
    try:
        if manifest.stat().st_size > MAX_MANIFEST_BYTES:
            raise ManifestError(f"larger than {MAX_MANIFEST_BYTES:,} bytes", manifest)
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            if manifest.suffix == ".csv":
                reader = csv.DictReader(file, strict=True)
                if reader.fieldnames is None or "path" not in reader.fieldnames:
                    raise ManifestError(f"needs a header with {', '.join(COLUMNS[:2])}", manifest, 1)
                for row in reader:
                    if None in row:
                        raise ManifestError("has more fields than the header", manifest, reader.line_num)
                    yield reader.line_num, dict(row)
                return
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                try:
                    row = json.loads(text)
                except ValueError as error:
                    raise ManifestError(f"not valid JSON: {error}", manifest, number) from None
                if not isinstance(row, dict):
                    raise ManifestError('a line is an object: {"path": …, "prompt": …}', manifest, number)
                yield number, row
    except UnicodeDecodeError:
        raise ManifestError("not UTF-8 text", manifest) from None
    except csv.Error as error:
        raise ManifestError(f"not valid CSV: {error}", manifest) from None
    except RecursionError:
        raise ManifestError("nested too deeply", manifest) from None
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", manifest) from None

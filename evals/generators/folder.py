"""`folder:PATH`: clips that exist already. Nothing is ever written there.

A folder is described by a manifest `videos.jsonl` or `videos.csv` with the columns `path`, `prompt` and, if
wanted, `prompt_id`, `seed`, `category`; or it is a run folder of this suite; or it is laid out as one,
`<prompt id>/<seed>-….mp4`, or as another suite wants it (`layouts`), and `--prompts` says what the names
mean; or it holds WebDataset-like shards; or it is plain: clips of any name, each its own prompt by its file's
name, the words in a `.txt` beside it or not known. A video is its bytes: a clip that was replaced is
scored anew."""

from __future__ import annotations

import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from evals.errors import EvalsWarning, ManifestError, Reason, UsageError, nearest
from evals.generators import layouts, plain, shards
from evals.generators.base import Generation, Generator, failed
from evals.generators.manifest import COLUMNS, MANIFESTS, Taken, rows, whole_number
from evals.prompts.readers import encodable
from evals.records import (
    Clip,
    Prompt,
    PromptSet,
    Record,
    Request,
    Settings,
    Spec,
    digest,
    explain,
    file_sha256,
    is_regular,
)
from evals.remote import objects
from evals.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class _Clip:
    prompt: Prompt
    seed: int
    path: Path
    line: int = 0
    member: str = ""  # of a shard

    @property
    def place(self) -> Clip:
        return Clip(path=self.path, member=self.member, line=self.line)


@dataclass(frozen=True)
class _Contents:
    """What a folder holds: clips by prompt id and seed, in its own order, and seeds by prompt id."""

    clips: dict[tuple[str, int], _Clip] = field(default_factory=dict)
    seeds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    layout: layouts.Preflight | None = None

    def add(self, prompt: Prompt, clip: _Clip) -> None:
        """The first clip of a prompt and seed holds."""
        if (prompt.id, clip.seed) not in self.clips:
            self.clips[prompt.id, clip.seed] = clip if clip.prompt is prompt else replace(clip, prompt=prompt)
            self.seeds[prompt.id].append(clip.seed)


class Folder(Generator):
    """Existing clips as a generator, in a folder or at the URL of an object store (`s3://bucket/clips`): its
    files are copied into a cache first. `-o manifest=NAME` picks another manifest in the folder;
    `-o follow_symlinks=true` admits links that lead out of it, `-o allow_outside=true` the files that a run
    which somebody else made names outside of itself; `-o prompt_from=name` takes the names of plain clips as
    their prompts; `--layout` names what is not detected."""

    class Options(Record):
        manifest: str | None = None
        follow_symlinks: bool = False
        allow_outside: bool = False
        layout: str | None = None
        prompt_from: Literal["name"] | None = None

    existing = True

    def __init__(self, argument: str, options: Options) -> None:
        url = argument if objects.is_url(argument) else None
        try:
            self.folder = objects.mirrored(url) if url else Path(argument).expanduser()
            if not self.folder.is_dir():
                raise UsageError(f"folder:{argument}: no such folder")
            argument.encode()
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"folder:{argument!r}: cannot be read: {error}") from None
        self.options = options
        if options.layout:
            layouts.checked(options.layout)
        self.label = f"folder:{self.folder.resolve().name or argument}"
        if url:
            self.label = f"folder:{url.rstrip('/').rpartition('/')[2]}"
        params: dict[str, Any] = {"path": url or str(self.folder.resolve())}
        self.spec = Spec(name="folder", version=1, params={**params, **options.to_json()})
        self._contents: dict[str, _Contents] = {}  # read once for each prompt set
        self._hashes: dict[Path, str | None] = {}
        self._root = self.folder.resolve()
        self._inside_root: dict[str, bool] = {}  # by folder, since most clips share one

    def plan(
        self, prompts: PromptSet | None, seeds: Sequence[int] | None, settings: Settings
    ) -> list[Request]:
        """The folder's own prompts and seeds; with `--prompts`, those prompts, found by id or words.

        Prompts and seeds that were asked for and have no clip stay in the plan: they will be `failed`.
        """
        held = self._held(prompts)
        if prompts is not None:
            wanted = [
                (p, s) for p in prompts.prompts for s in (seeds or sorted(held.seeds.get(p.id, ())) or (0,))
            ]
        elif seeds is None:
            wanted = [(clip.prompt, clip.seed) for clip in held.clips.values()]
        else:
            known = {clip.prompt.id: clip.prompt for clip in held.clips.values()}
            wanted = [(p, s) for p in known.values() for s in seeds]
        return [self._request(held, prompt, seed, settings) for prompt, seed in wanted]

    def _request(self, held: _Contents, prompt: Prompt, seed: int, settings: Settings) -> Request:
        clip = held.clips.get((prompt.id, seed))
        if clip is not None:
            return Request(prompt=prompt, seed=seed, settings=settings, clip=clip.place)
        contested = held.layout.contested.get(prompt.id) if held.layout else None
        return Request(
            prompt=prompt, seed=seed, settings=settings,
            absent=contested or f"{self.label} has no clip of this prompt with this seed",
            absent_reason=Reason.AMBIGUOUS_CLIP if contested else Reason.NO_CLIP,
        )  # fmt: skip

    def identity(self, request: Request) -> Any:
        if request.clip is None:
            return None
        sha256 = self._hash(request.clip.path)
        return [sha256, request.clip.member] if request.clip.member else sha256

    def holdings(self, prompts: PromptSet | None) -> set[tuple[str, int]]:
        return set(self._held(prompts).clips)

    def preflight(self, requests: Sequence[Request], prompts: PromptSet | None) -> str:
        layout = self._held(prompts).layout
        if layout:
            return layout.table({r.prompt.id for r in requests})
        return plain.remark(self.label, [r.prompt for r in requests])

    def generate(self, request: Request, out: Path) -> Generation:
        clip = request.clip
        if clip is None:
            return failed(request.absent_reason or Reason.NO_CLIP, request.absent)
        if not is_regular(clip.path):
            where = f" (line {clip.line} of the manifest)" if clip.line else ""
            return failed(Reason.FILE_MISSING, f"{clip.path.name}: no such file{where}")
        if clip.member:
            return shards.unpacked(clip, out)
        return Generation("ok", clip.path.resolve())

    def _hash(self, path: Path) -> str | None:
        if path not in self._hashes:
            try:
                self._hashes[path] = file_sha256(path) if is_regular(path) else None
            except OSError:
                self._hashes[path] = None
        return self._hashes[path]

    def _held(self, prompts: PromptSet | None) -> _Contents:
        """What the folder holds, as far as these prompts go; of all it holds without."""
        key = prompts.digest if prompts else ""
        if key not in self._contents:
            self._contents[key] = self._matched(prompts)
        return self._contents[key]

    def _matched(self, prompts: PromptSet | None) -> _Contents:
        layout, clips = self._read(prompts)
        found = _Contents(layout=layout)
        if prompts is None:
            for clip in clips:
                found.add(clip.prompt, clip)
            return found
        by_id = {p.id: p for p in prompts.prompts}
        by_words = {p.text: p for p in prompts.prompts}
        folded: dict[str, list[Prompt]] = defaultdict(list)
        for p in prompts.prompts:
            folded[p.text.casefold()].append(p)
        other: list[str] = []
        for clip in clips:
            alike = folded.get(clip.prompt.text.casefold(), [])
            near = alike[0] if len(alike) == 1 else None
            prompt = by_id.get(clip.prompt.id) or by_words.get(clip.prompt.text) or near
            if prompt is not None:
                found.add(prompt, clip)
                if prompt.text.casefold() != clip.prompt.text.casefold():
                    other.append(prompt.id)
        if other:
            warnings.warn(
                f"{self.label}: {len(other)} clips have other words than the prompts they are matched with by"
                f" id ({', '.join(other[:3])}); scores go by the words of --prompts",
                EvalsWarning,
                stacklevel=2,
            )
        return found

    def _read(self, prompts: PromptSet | None) -> tuple[layouts.Preflight | None, Iterator[_Clip]]:
        layout = self.options.layout
        if layout in (None, "manifest"):
            for name in (self.options.manifest,) if self.options.manifest else MANIFESTS:
                path = self.folder / name
                if is_regular(path):
                    return None, self._from_manifest(path, prompts)
                if self.options.manifest:
                    raise ManifestError("no such manifest", path)
        if layout in (None, "run") and (self.folder / "run.json").is_file():
            return None, self._from_run()
        if layout in (None, "webdataset") and any(self.folder.glob("*.tar")):
            return None, self._from_shards()
        if prompts is not None:
            if layout in (None, "ids") and (laid_out := list(self._from_ids(prompts))):
                return None, iter(laid_out)
            other = layout if layout in layouts.LAYOUTS else None
            if layout is None:
                other = layouts.detect(self.folder, prompts)
            if other is not None:
                matched = layouts.match(self.folder, prompts, other)
                return matched, self._from_layout(matched)
        elif layout in (None, "plain") and (clips := plain.clips_in(self.folder)):
            return None, self._from_files(clips)
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

    def _from_files(self, paths: Sequence[Path]) -> Iterator[_Clip]:
        for path in paths:
            prompt = plain.prompt_of(path, self.options.prompt_from == "name")
            yield _Clip(prompt, 0, self._inside(path.relative_to(self.folder), self.folder, 0))

    def _from_layout(self, matched: layouts.Preflight) -> Iterator[_Clip]:
        for one in matched.found:
            place = self._inside(one.path.relative_to(self.folder), self.folder, 0)
            yield _Clip(one.prompt, one.seed, place)

    def _from_shards(self) -> Iterator[_Clip]:
        taken = Taken()
        for number, one in enumerate(shards.clips_of(self.folder), 1):
            row = {"path": one.path.name, "prompt": one.text, "prompt_id": one.prompt_id, "seed": one.seed,
                   "category": one.category}  # fmt: skip
            clip = self._clip(one.path, 0, row, {}, taken)
            if (clip.prompt.id, clip.seed) in taken.lines:
                raise ManifestError(
                    f"{one.member}: prompt {clip.prompt.id!r} with seed {clip.seed} is there already",
                    one.path,
                )
            taken.lines[clip.prompt.id, clip.seed] = number
            yield replace(clip, member=one.member)

    def _from_run(self) -> Iterator[_Clip]:
        run = RunFolder(self.folder, self.options.allow_outside)
        for (prompt_id, seed), sample in run.samples().items():
            if sample.status == "ok":
                yield _Clip(run.prompts[prompt_id], seed, run.video_path(sample))

    def _from_ids(self, prompts: PromptSet) -> Iterator[_Clip]:
        for prompt in prompts.prompts:
            held: dict[int, Path] = {}
            for path in sorted((self.folder / prompt.id).glob("[!.]*")):
                match = re.fullmatch(r"([0-9]+)(-[0-9a-f]+)?", path.stem)
                if not match or not layouts.is_clip(path):
                    continue
                # A run keeps what was made from other words; the digest of these is in the right one's name.
                if int(match[1]) not in held or match[2] == f"-{digest(prompt.text)[:8]}":
                    held[int(match[1])] = path
            for seed, path in held.items():
                yield _Clip(prompt, seed, self._inside(path.relative_to(self.folder), self.folder, 0))

    def _from_manifest(self, manifest: Path, prompts: PromptSet | None) -> Iterator[_Clip]:
        known = {p.id: p for p in prompts.prompts} if prompts else {}
        taken = Taken()
        firsts: dict[str, tuple[Prompt, int]] = {}
        odd: set[str] = set()
        count = 0
        for line, row in rows(manifest):
            count += 1
            odd |= set(row) - set(COLUMNS)
            clip = self._clip(manifest, line, row, known, taken)
            at = (clip.prompt.id, clip.seed)
            if at in taken.lines:
                raise ManifestError(
                    f"prompt {at[0]!r} with seed {at[1]} was on line {taken.lines[at]} already",
                    manifest,
                    line,
                )
            taken.lines[at] = line
            prompt, first = firsts.setdefault(clip.prompt.id, (clip.prompt, line))
            if prompt.text != clip.prompt.text:
                raise ManifestError(
                    f"prompt id {at[0]!r} has other words than on line {first}", manifest, line
                )
            yield replace(clip, prompt=prompt) if prompt == clip.prompt else clip  # one for all its seeds
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
        taken: Taken,
    ) -> _Clip:
        path, text = row.get("path"), row.get("prompt")
        for name in COLUMNS:
            value = row.get(name)
            if name != "seed" and not isinstance(value, str | None):
                raise ManifestError(f"{name!r} is {value!r:.40}, not text", manifest, line)
            if isinstance(value, str) and ("\0" in value or not encodable(value)):
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
            number = taken.free_seed(prompt.id)
        else:
            whole = whole_number(seed)
            if whole is None:
                raise ManifestError(f"seed {seed!r:.60} is not a whole number", manifest, line)
            number = whole
        return _Clip(prompt, number, self._inside(Path(str(path)), manifest, line), line)

    def _holds(self, whole: Path) -> bool:
        """Whether a file lies in the folder, whatever links lead there. Raises `OSError`, `RuntimeError`."""
        parent, name = os.path.split(whole)
        if name in ("", "..") or whole.is_symlink():
            return whole.resolve().is_relative_to(self._root)
        if parent not in self._inside_root:
            self._inside_root[parent] = Path(parent).resolve().is_relative_to(self._root)
        return self._inside_root[parent]

    def _inside(self, path: Path, manifest: Path, line: int) -> Path:
        """The clip's place, which must lie in the folder."""
        if path.is_absolute() or ".." in path.parts:
            raise ManifestError(f"path {str(path)!r} leads out of the folder", manifest, line or None)
        whole = self.folder / path
        try:
            inside = self._holds(whole)
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

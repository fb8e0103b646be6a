"""How other suites lay out a folder of clips, and which file is which prompt's.

Names are never parsed into prompts: every prompt says which names it would have, and a file that two prompts
could have named is ambiguous, and nobody's. Prompts that are the same in lower case, cut at the 255 bytes of
a file's name, or end like a seed (`… part-2`) are known traps.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evals.errors import UsageError, nearest
from evals.records import Prompt, PromptSet
from evals.video.animated import is_moving_picture

SUFFIXES = {".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif", ".m4v"}
LEAST_CUT = 60  # characters that a cut name must share with its prompt
SHOWN = 5


@dataclass(frozen=True)
class Found:
    """A file and whose it is; of a shard, with the member's name."""

    prompt: Prompt
    seed: int
    path: Path
    member: str = ""


@dataclass
class Preflight:
    """What a folder holds against what is asked for, before any work."""

    layout: str
    found: list[Found] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)
    """Why, by file."""
    contested: dict[str, str] = field(default_factory=dict)
    """Why a prompt without a clip has none, where an ambiguous file could be its, by prompt id."""

    def table(self, wanted: set[str]) -> str:
        """For people; only prompts that are wanted are missing."""
        missing = [p for p in self.missing if p in wanted]
        matched = [f for f in self.found if f.prompt.id in wanted]
        return str(replace(self, missing=missing, found=matched))

    def __str__(self) -> str:
        rows: list[tuple[str, Sequence[str]]] = [
            ("matched", []),
            ("missing", self.missing),
            ("extra", self.extra),
            ("ambiguous", [f"{name}: {why}" for name, why in self.ambiguous.items()]),
        ]
        lines = [f"layout     {self.layout}"]
        for name, which in rows:
            count = len(self.found) if name == "matched" else len(which)
            more = f" and {len(which) - SHOWN} more" if len(which) > SHOWN else ""
            listed = "; ".join(which[:SHOWN]) + more
            lines.append(f"{name:10s} {count:5d}" + (f"  {listed}" if listed else ""))
        return "\n".join(lines)


def videos(folder: Path) -> list[Path]:
    """The folder's clips, at most two levels down, by name; hidden files are left out."""
    found = [p for pattern in ("*", "*/*") for p in folder.glob(pattern)]
    seen = (p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))
    return sorted(p for p in seen if is_clip(p))


def is_clip(path: Path) -> bool:
    """Whether a file is a video by its name, or a picture that moves."""
    return path.suffix.lower() in SUFFIXES or is_moving_picture(path)


# --- whose is a file ---

Key = Callable[[str], str]


def _exact(text: str) -> str:
    return unicodedata.normalize("NFC", text)  # macOS takes letters and accents apart


def _folded(text: str) -> str:
    return _exact(text).casefold()


def _loose(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", _folded(text)))


_TIERS: tuple[Key, ...] = (_exact, _folded, _loose)


class _ByText:
    """Prompts by their words, exact first, then as file systems and scripts mangle them."""

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self.prompts = list(prompts)
        self.tables: list[dict[str, list[Prompt]]] = []
        for tier in _TIERS:
            table: dict[str, list[Prompt]] = defaultdict(list)
            for prompt in self.prompts:
                table[tier(prompt.text)].append(prompt)
            self.tables.append(table)

    def owners(self, text: str, may_be_cut: bool) -> list[Prompt]:
        """The prompts that a name's words could be."""
        for tier, table in zip(_TIERS, self.tables, strict=True):
            # An exact name is no proof where another prompt differs in case alone: on a file system that
            # does not tell them apart the later one has overwritten the earlier.
            found = table.get(tier(text)) if tier(text) else None
            if found:
                alike = self.tables[1].get(_folded(text), found)
                return alike if tier is _exact and len(alike) > 1 else found
        if may_be_cut and len(text) >= LEAST_CUT:
            return [p for p in self.prompts if _folded(p.text).startswith(_folded(text))]
        return []


def _vbench(folder: Path, prompts: PromptSet) -> Preflight:
    """`{prompt}-{seed}.mp4`."""
    found, known = Preflight("vbench"), _ByText(prompts.prompts)
    claims: dict[tuple[str, int], list[tuple[Path, Prompt]]] = defaultdict(list)
    doubts: dict[str, list[str]] = defaultdict(list)
    for path in videos(folder):
        # 255 bytes are a file system's limit; some scripts cut earlier, at 180 or 200 characters.
        cut = len(path.name.encode()) >= 170
        readings: list[tuple[Prompt, int]] = []
        match = re.fullmatch(r"(.+)-(\d{1,4})", path.stem, re.DOTALL)
        if match:
            readings += [(p, int(match[2])) for p in known.owners(match[1], cut)]
        readings += [(p, 0) for p in known.owners(path.stem, cut)]
        readings = list({(p.id, s): (p, s) for p, s in readings}.values())
        if len(readings) == 1:
            claims[readings[0][0].id, readings[0][1]].append((path, readings[0][0]))
        elif readings:
            could = ", ".join(f"{p.id} with seed {s}" for p, s in readings)
            found.ambiguous[path.name] = f"could be {could}"
            for p, _ in readings:
                doubts[p.id].append(path.name)
        else:
            found.extra.append(path.name)
    for (_, seed), files in claims.items():
        if len(files) > 1:
            names = ", ".join(p.name for p, _ in files)
            for path, prompt in files:
                found.ambiguous[path.name] = f"{names} are all {prompt.id} with seed {seed}"
                doubts[prompt.id].append(path.name)
        else:
            found.found.append(Found(files[0][1], seed, files[0][0]))
    return _rest(found, prompts, doubts)


def _doubts() -> dict[str, list[str]]:
    return defaultdict(list)


def _rest(found: Preflight, prompts: PromptSet, doubts: dict[str, list[str]]) -> Preflight:
    have = {f.prompt.id for f in found.found}
    found.missing = [p.id for p in prompts.prompts if p.id not in have]
    found.contested = {
        p: f"ambiguous: {', '.join(names[:3])} could be its or another prompt's"
        for p, names in doubts.items()
        if p not in have
    }
    return found


def _numbered(name: str, first: int) -> Callable[[Path, PromptSet], Preflight]:
    def match(folder: Path, prompts: PromptSet) -> Preflight:
        found, doubts = Preflight(name), _doubts()
        _by_number(found, videos(folder), list(prompts.prompts), first, doubts)
        return _rest(found, prompts, doubts)

    return match


def _by_number(
    found: Preflight,
    files: Iterable[Path],
    prompts: Sequence[Prompt],
    first: int,
    doubts: dict[str, list[str]],
) -> None:
    """The n-th prompt's is the file with its number; where several have it, nobody's."""
    claims: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        place = int(path.stem) - first if re.fullmatch(r"[0-9]{1,9}", path.stem) else -1
        if 0 <= place < len(prompts):
            claims[prompts[place].id].append(path)
        else:
            found.extra.append(path.name)
    _settle(found, claims, {p.id: p for p in prompts}, doubts)


def _settle(
    found: Preflight, claims: dict[str, list[Path]], prompts: dict[str, Prompt], doubts: dict[str, list[str]]
) -> None:
    for prompt_id, files in claims.items():
        if len(files) == 1:
            found.found.append(Found(prompts[prompt_id], 0, files[0]))
            continue
        for path in files:
            others = ", ".join(str(p.relative_to(p.parents[1])) for p in files if p != path)
            found.ambiguous[str(path.relative_to(path.parents[1]))] = f"{others} has the same number"
            doubts[prompt_id].append(path.name)


def _compbench(folder: Path, prompts: PromptSet) -> Preflight:
    """`CATEGORY/0001.mp4`: the category's prompts from 1 on; without folders, all of them."""
    found, doubts = Preflight("t2v-compbench"), _doubts()
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in videos(folder):
        groups["" if path.parent == folder else path.parent.name].append(path)
    categories: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in prompts.prompts:
        categories[prompt.category].append(prompt)
    for name, files in groups.items():
        mine = list(prompts.prompts) if not name else categories.get(name, [])
        if not mine:
            found.extra += [f"{name}/{p.name}" for p in files]
            continue
        _by_number(found, files, mine, 1, doubts)
    return _rest(found, prompts, doubts)


def _fetv(folder: Path, prompts: PromptSet) -> Preflight:
    """`{number}.mp4`: what FETV's ids `fetv-{number}` say; for other prompts their place, from 0 on."""
    found, doubts = Preflight("fetv"), _doubts()
    if not _has_fetv_ids(prompts):
        _by_number(found, videos(folder), list(prompts.prompts), 0, doubts)
        return _rest(found, prompts, doubts)
    by_number = {int(p.id.removeprefix("fetv-")): p for p in prompts.prompts}
    claims: dict[str, list[Path]] = defaultdict(list)
    for path in videos(folder):
        owner = by_number.get(int(path.stem)) if re.fullmatch(r"[0-9]{1,9}", path.stem) else None
        if owner is None:
            found.extra.append(path.name)
        else:
            claims[owner.id].append(path)
    _settle(found, claims, {p.id: p for p in prompts.prompts}, doubts)
    return _rest(found, prompts, doubts)


def _has_fetv_ids(prompts: PromptSet) -> bool:
    return all(re.fullmatch(r"fetv-[0-9]+", p.id) for p in prompts.prompts)


def _physics_iq(folder: Path, prompts: PromptSet) -> Preflight:
    """`0001_perspective-left_….mp4`: the number is the prompt's place, from 1 on; its id holds it, too."""
    found, doubts = Preflight("physics-iq"), _doubts()
    by_number: dict[int, Prompt] = {}
    for place, prompt in enumerate(prompts.prompts, 1):
        start = re.match(r"([0-9]{4})-", prompt.id)
        by_number[int(start[1]) if start else place] = prompt
    claims: dict[str, list[Path]] = defaultdict(list)
    for path in videos(folder):
        match = re.match(r"([0-9]{4})_", path.stem)
        owner = by_number.get(int(match[1])) if match else None
        if owner is None:
            found.extra.append(path.name)
        else:
            claims[owner.id].append(path)
    _settle(found, claims, {p.id: p for p in prompts.prompts}, doubts)
    return _rest(found, prompts, doubts)


LAYOUTS: dict[str, Callable[[Path, PromptSet], Preflight]] = {
    "vbench": _vbench,
    "evalcrafter": _numbered("evalcrafter", 0),
    "t2v-compbench": _compbench,
    "fetv": _fetv,
    "physics-iq": _physics_iq,
}
OTHERS = ("manifest", "run", "ids", "webdataset")
"""Layouts that `folder` and `shards` read."""


def checked(name: str) -> str:
    """A layout's name. Raises `UsageError`."""
    known = (*OTHERS, *LAYOUTS)
    if name not in known:
        raise UsageError(f"--layout {name}: unknown{nearest(name, known)} (known: {', '.join(known)})")
    return name


def detect(folder: Path, prompts: PromptSet) -> str | None:
    """The one layout that a folder's names fit; None where there is none. Raises `UsageError` where they fit
    several that would match other files to other prompts."""
    files = videos(folder)
    if not files:
        return None
    stems = [p.stem for p in files]
    if all(re.match(r"\d{4}_", s) for s in stems):
        return "physics-iq"
    if all(re.fullmatch(r"\d+", s) for s in stems):
        if any(p.parent != folder for p in files):
            return "t2v-compbench"
        padded = all(len(s) == 4 for s in stems)
        if padded and "0000" in stems:
            return "evalcrafter"
        if _has_fetv_ids(prompts):
            return "fetv"
        raise UsageError(
            f"{folder}: clips are numbered from {min(stems, key=int)} on; say whether 0 is the first prompt"
            " (--layout evalcrafter), 1 is (t2v-compbench), or numbers are FETV's ids (fetv)"
        )
    made = _vbench(folder, prompts)
    return "vbench" if made.found or made.ambiguous else None


def match(folder: Path, prompts: PromptSet, layout: str) -> Preflight:
    """Which file is which prompt's."""
    return LAYOUTS[layout](folder, prompts)

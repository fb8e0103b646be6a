"""The files of Physics-IQ: what a downloaded benchmark and a folder of generated clips hold, and what is
missing.

Nothing is renamed or written. A generated clip is known by the four digits that its name begins with, as in
the benchmark's own code; real takes by their whole name."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.decoding.pairs import RATES
from evals.errors import UsageError

VIEWS = ("perspective-left", "perspective-center", "perspective-right")
SECONDS = 5.0
REAL = re.compile(
    r"^(?P<id>\d{4})_testing-videos_(?P<fps>\d+)FPS_(?P<view>perspective-[a-z]+)_take-(?P<take>[12])_(?P<name>.+)\.mp4$"
)
SCENARIO = re.compile(r"^(?P<id>\d{4})_(?P<view>perspective-[a-z]+)_take-(?P<take>[12])_(?P<name>.+)\.mp4$")
GENERATED = re.compile(r"^(?P<id>\d{4})[_.-].*\.(mp4|webm|mov|mkv|avi|gif)$", re.IGNORECASE)
NO_CATEGORY = "uncategorised"


@dataclass(frozen=True)
class Scene:
    """One view of one scenario: its id (that of take 1) and both real takes."""

    id: str
    name: str
    view: str
    takes: tuple[Path, Path]
    category: str = NO_CATEGORY


@dataclass(frozen=True)
class Benchmark:
    """The scenes of a downloaded benchmark at one frame rate, and what it lacks, with the ids it is about."""

    folder: Path
    fps: int
    scenes: tuple[Scene, ...]
    lacks: tuple[str, ...]
    incomplete: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wrong:
    """Something that is missing or against the rules, and the file that it is about."""

    message: str
    path: Path | None = None


def rates_of(folder: Path) -> list[int]:
    """The frame rates at which a benchmark's real takes lie in a folder."""
    testing = folder / "split-videos" / "testing"
    found = [re.fullmatch(r"(\d+)FPS", p.name) for p in testing.iterdir()] if testing.is_dir() else []
    return sorted(int(match[1]) for match in found if match)


def open_benchmark(folder: Path, fps: int, descriptions: Path | None = None) -> Benchmark:
    """The benchmark in a folder as users download it (`split-videos/testing/30FPS/…`), at a frame rate.

    `descriptions` is its index (CSV with `scenario` and `category`); without, the scenes are those of the
    files. Raises `UsageError` where the folder holds no takes at this rate."""
    place = folder / "split-videos" / "testing" / f"{fps}FPS"
    if not place.is_dir():
        there = ", ".join(f"{rate}FPS" for rate in rates_of(folder)) or "none"
        raise UsageError(
            f"{folder}: no real takes at {fps} frames per second: no folder split-videos/testing/{fps}FPS"
            f" (there: {there}); the clips have {fps}, and both sides must have one rate"
        )
    takes: dict[tuple[str, str], dict[int, tuple[str, Path]]] = {}
    for path in sorted(place.iterdir()):
        match = REAL.match(path.name)
        if match and int(match["fps"]) == fps:
            found = takes.setdefault((match["name"], match["view"]), {})
            found[int(match["take"])] = (match["id"], path)
    if not takes:
        raise UsageError(f"{place}: no file is named like a real take (0001_testing-videos_{fps}FPS_…)")
    index = read_index(descriptions) if descriptions else {}
    scenes, lacks, incomplete = list[Scene](), list[str](), set[str]()
    for key in dict.fromkeys((*index, *takes)):
        name, view = key
        of_takes = takes.get(key, {})
        missing = [take for take in (1, 2) if take not in of_takes]
        if missing:
            lacks.append(f"{name}, {view}: no real take {' and '.join(map(str, missing))} in {place.name}")
            incomplete |= {number for number, _ in of_takes.values()}
            continue
        number = of_takes[1][0]
        category = index.get(key, NO_CATEGORY)
        scenes.append(Scene(number, name, view, (of_takes[1][1], of_takes[2][1]), category))
    return Benchmark(
        folder, fps, tuple(sorted(scenes, key=lambda s: s.id)), tuple(lacks), frozenset(incomplete)
    )


def read_index(path: Path) -> dict[tuple[str, str], str]:
    """The category of every (scenario, view) of take 1, from the benchmark's CSV. Raises `UsageError`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    if not rows or not {"scenario", "category"} <= set(rows[0]):
        raise UsageError(f"{path}: not the index of Physics-IQ: it needs the columns scenario and category")
    found = {}
    for row in rows:
        match = SCENARIO.match(row["scenario"] or "")
        if match and match["take"] == "1":
            found[match["name"], match["view"]] = row["category"] or NO_CATEGORY
    return found


def clips_of(folder: Path) -> dict[str, Path]:
    """Generated clips by their id. Raises `UsageError` where there is none, or two of one id."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of clips")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        match = GENERATED.match(path.name)
        if match is None or not path.is_file():
            continue
        if match["id"] in found:
            raise UsageError(
                f"{folder}: two clips have the id {match['id']}: {found[match['id']].name}, {path.name}"
            )
        found[match["id"]] = path
    if not found:
        raise UsageError(f"{folder}: no clip's name begins with an id of four digits, such as 0001_…mp4")
    return found


def problems(
    benchmark: Benchmark, clips: Mapping[str, Path], facts: Mapping[Path, tuple[float, float]]
) -> list[Wrong]:
    """What is missing or against the rules: `facts` are frames per second and seconds of every clip and take
    that can be read."""
    known = {scene.id: scene for scene in benchmark.scenes}
    found = [Wrong(message) for message in benchmark.lacks]
    found += [
        Wrong(f"{one.id} ({one.name}, {one.view}): no generated clip")
        for one in known.values()
        if one.id not in clips
    ]
    found += [
        Wrong(f"{clips[i].name}: the benchmark has no scene {i}")
        for i in clips
        if i not in {*known, *benchmark.incomplete}
    ]
    for path in _used(benchmark, clips):
        if path not in facts:
            found.append(Wrong(f"{path.name}: cannot be read as a video", path))
            continue
        fps, seconds = facts[path]
        if abs(fps - benchmark.fps) > RATES * benchmark.fps:
            found.append(Wrong(f"{path.name}: {fps:g} frames per second, not {benchmark.fps}", path))
        elif abs(seconds - SECONDS) > 0.5 / fps:
            found.append(Wrong(f"{path.name}: lasts {seconds:.2f} s, not {SECONDS:g} s", path))
    return found


def _used(benchmark: Benchmark, clips: Mapping[str, Path]) -> Iterable[Path]:
    for scene in benchmark.scenes:
        yield from scene.takes
        if scene.id in clips:
            yield clips[scene.id]


def usable(benchmark: Benchmark, clips: Mapping[str, Path], wrong: Sequence[Wrong]) -> list[Scene]:
    """The scenes of which nothing is missing or wrong."""
    bad = {one.path for one in wrong}
    return [s for s in benchmark.scenes if s.id in clips and not bad & {*s.takes, clips[s.id]}]

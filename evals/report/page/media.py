"""The files that the page shows of videos: small copies, posters and stills in `media/`, and originals.

Files are called by what they are made of, so a second report makes nothing twice, and one that was ended goes
on where it was."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evals.compare import Comparison, RunScores
from evals.decoding.pool import DecoderJob, Pool
from evals.decoding.resources import Progress
from evals.errors import OutsideRun
from evals.records import Sample, digest
from evals.report.page.curves import Flag, Found
from evals.runs.folder import SampleId

MEDIA, ORIGINALS = "media", "originals"
SPEC = {"version": 1, "short_side": 360, "poster": 144}
OURS = re.compile(r"[0-9a-f]{20}(-\d+)?\.(mp4|jpg)")
ShownId = tuple[str, SampleId]
"""Run label and sample."""


@dataclass(frozen=True)
class Shown:
    """What the page shows of a video: `name` of its copy and poster in `media/` without their suffix,
    frames of which there is a still, the `original`'s place from the page. Without a copy, `why_none`."""

    name: str = ""
    stills: tuple[int, ...] = ()
    original: str = ""
    why_none: str = ""

    @property
    def files(self) -> list[str]:
        if not self.name:
            return []
        return [f"{self.name}.mp4", f"{self.name}.jpg", *(f"{self.name}-{t}.jpg" for t in self.stills)]


@dataclass
class _Plan:
    """Everything one video needs, under all samples that have these bytes."""

    path: Path
    sha256: str
    name: str
    stills: set[int] = field(default_factory=set)
    shown: list[ShownId] = field(default_factory=list)


def make(
    comparison: Comparison, wanted: Sequence[SampleId], found: Mapping[ShownId, Found], out: Path, pool: Pool,
    progress: Progress, portable: bool = False,
) -> dict[ShownId, Shown]:  # fmt: skip
    """Make the files of these samples that are not there yet."""
    plans: dict[str, _Plan] = {}
    shown: dict[ShownId, Shown] = {}
    originals: dict[ShownId, str] = {}
    for at in wanted:
        for run in comparison.sources:
            key, sample = (run.label, at), run.videos.get(at)
            if sample is None or sample.sha256 is None:
                continue
            path = _path(run, sample)
            if path is None:
                shown[key] = Shown(why_none="the video lies outside of the run: --allow-outside shows it")
                continue
            originals[key] = _original(path, sample.sha256, out, portable)
            name = digest([sample.sha256, SPEC])[:20]
            plan = plans.setdefault(name, _Plan(path, sample.sha256, name))
            plan.shown.append(key)
            one = found.get(key)
            if one is not None and sample.actual is not None:
                plan.stills |= {still_frame(flag, one.fps, sample.actual.fps) for flag in one.flags}
    for name, stills, why in _made(plans, out / MEDIA, pool, progress):
        for key in plans[name].shown:
            shown[key] = Shown("" if why else name, () if why else stills, originals[key], why)
    return shown


def still_frame(flag: Flag, fps: float, native: float) -> int:
    """The native frame at which a flag's evidence begins."""
    return round(flag.first / fps * native)


def _path(run: RunScores, sample: Sample) -> Path | None:
    try:
        return run.folder.video_path(sample) if run.folder is not None else None
    except OutsideRun:
        return None


def _original(path: Path, sha256: str, out: Path, portable: bool) -> str:
    """The original's place from the page, where it may be linked to; copied there for a portable report."""
    try:
        return _url(path.resolve().relative_to(out.resolve()))
    except ValueError:
        if not portable:
            return ""
    place = out / ORIGINALS / f"{sha256[:20]}{path.suffix.lower()}"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        partial = place.with_name(f".{place.name}")
        shutil.copyfile(path, partial)
        partial.replace(place)
    return _url(place.relative_to(out))


def _url(path: Path) -> str:
    """A relative URL, which no file name turns into another kind."""
    return f"./{quote(path.as_posix())}"


def _made(
    plans: Mapping[str, _Plan], folder: Path, pool: Pool, progress: Progress
) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, stills that are there, and why there is no copy, for each plan."""
    folder.mkdir(exist_ok=True)
    todo = [plan for plan in plans.values() if not all((folder / f).exists() for f in _files(plan))]
    left = {plan.name for plan in todo}
    yield from ((p.name, _stills(p, folder), "") for p in plans.values() if p.name not in left)
    progress.begin("previews", len(todo))
    for event in pool.run(_job(plan, folder) for plan in todo):
        plan: _Plan = event.job.tag
        if event.error is not None:
            progress.advance(True)
            yield plan.name, (), f"no preview: {event.error}"
        elif event.kind == "done":
            progress.advance(False)
            yield plan.name, _stills(plan, folder), ""


def _files(plan: _Plan) -> list[str]:
    return Shown(plan.name, tuple(plan.stills)).files


def _stills(plan: _Plan, folder: Path) -> tuple[int, ...]:
    return tuple(t for t in sorted(plan.stills) if (folder / f"{plan.name}-{t}.jpg").exists())


def _job(plan: _Plan, folder: Path) -> DecoderJob:
    fields: dict[str, Any] = {
        "short_side": SPEC["short_side"], "out": str(folder / f"{plan.name}.mp4"), "sha256": plan.sha256,
        "stills": {f"{plan.name}-{t}.jpg": t for t in sorted(plan.stills)},
    }  # fmt: skip
    return DecoderJob(plan.path, "preview", plan, fields)

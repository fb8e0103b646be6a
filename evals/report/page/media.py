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
from evals.records import Normalization, Sample, digest, file_sha256
from evals.report.page.curves import Found
from evals.runs.current import SampleId

MEDIA, ORIGINALS = "media", "originals"
SPEC = {"version": 1, "short_side": 360, "poster": 144}
OURS = re.compile(r"[0-9a-f]{20}(-\d+)?\.(mp4|jpg)")
OUR_ORIGINALS = re.compile(r"[0-9a-f]{20}\.\w+")
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
    normalization: Normalization
    stills: set[int] = field(default_factory=set)
    shown: list[ShownId] = field(default_factory=list)


def make(
    comparison: Comparison, wanted: Sequence[SampleId], found: Mapping[ShownId, Found], out: Path, pool: Pool,
    progress: Progress, portable: bool = False,
) -> dict[ShownId, Shown]:  # fmt: skip
    """Make the files of these samples that are not there yet."""
    plans: dict[str, _Plan] = {}
    shown: dict[ShownId, Shown] = {}
    for at in wanted:
        for run in comparison.sources:
            key, sample = (run.label, at), run.videos.get(at)
            if sample is None or sample.sha256 is None:
                continue
            path = _path(run, sample)
            if path is None:
                shown[key] = Shown(why_none="the video lies outside of the run: --allow-outside shows it")
                continue
            normalization = Normalization.parse(run.normalization)
            as_scored = [] if normalization == Normalization() else [str(normalization)]
            name = digest([sample.sha256, SPEC, *as_scored])[:20]
            plan = plans.setdefault(name, _Plan(path, sample.sha256, name, normalization))
            plan.shown.append(key)
            one = found.get(key)
            if one is not None:
                plan.stills |= {flag.moment for flag in one.flags}
    for name, stills, why in _made(plans, out / MEDIA, pool, progress):
        plan = plans[name]
        original = "" if why else _original(plan, out, portable)
        for key in plan.shown:
            shown[key] = Shown("" if why else name, () if why else stills, original, why)
    return shown


def _path(run: RunScores, sample: Sample) -> Path | None:
    try:
        return run.folder.video_path(sample) if run.folder is not None else None
    except OutsideRun:
        return None


def _original(plan: _Plan, out: Path, portable: bool) -> str:
    """The original's place from the page, where it may be linked to; copied there for a portable report. Only
    the bytes that were scored are copied."""
    try:
        return _url(plan.path.resolve().relative_to(out.resolve()))
    except ValueError:
        if not portable:
            return ""
    place = out / ORIGINALS / f"{plan.sha256[:20]}{plan.path.suffix.lower()}"
    try:
        if not place.exists() or file_sha256(place) != plan.sha256:
            place.parent.mkdir(exist_ok=True)
            partial = place.with_name(f".{place.name}.partial")
            shutil.copyfile(plan.path, partial)
            if file_sha256(partial) != plan.sha256:
                partial.unlink()
                return ""
            partial.replace(place)
    except OSError:
        return ""  # one original that cannot be read costs its link
    return _url(place.relative_to(out))


def _url(path: Path) -> str:
    """A relative URL, which no file name turns into another kind."""
    return f"./{quote(path.as_posix())}"


def _made(
    plans: Mapping[str, _Plan], folder: Path, pool: Pool, progress: Progress
) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, stills that are there, and why there is no copy, for each plan."""
    folder.mkdir(exist_ok=True)
    todo = [plan for plan in plans.values() if not all(_whole(folder / f) for f in _files(plan))]
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


def _whole(path: Path) -> bool:
    """Files appear under their names when they are complete; an empty one was emptied."""
    return path.is_file() and path.stat().st_size > 0


def _files(plan: _Plan) -> list[str]:
    return Shown(plan.name, tuple(plan.stills)).files


def _stills(plan: _Plan, folder: Path) -> tuple[int, ...]:
    return tuple(t for t in sorted(plan.stills) if (folder / f"{plan.name}-{t}.jpg").exists())


def _job(plan: _Plan, folder: Path) -> DecoderJob:
    fields: dict[str, Any] = {
        "short_side": SPEC["short_side"], "out": str(folder / f"{plan.name}.mp4"), "sha256": plan.sha256,
        "stills": {f"{plan.name}-{t}.jpg": t for t in sorted(plan.stills)},
        "normalization": plan.normalization.model_dump(mode="json"),
    }  # fmt: skip
    return DecoderJob(plan.path, "preview", plan, fields)

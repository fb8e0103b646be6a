"""Copies of a study's clips: all encoded alike and dated alike, so that no file tells whose it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from evals.decoding.pool import DecoderJob
from evals.decoding.resources import Progress, Resources
from evals.errors import RunError
from evals.ratings.study import BLUR, Pair, StudyFolder
from evals.records import Normalization
from evals.runs.folder import RunFolder

MOST_SIDE = 1080  # pixels of the short side
EVERY = 8  # pairs, of which one gives a blurred check


def checks(study: StudyFolder) -> list[Pair]:
    """The pairs of which one clip is also shown beside itself blurred: one of eight, by chance."""
    drawn = [pair for pair in study.study.pairs if int(study.study.hidden("check", pair.id), 16) % EVERY == 0]
    return drawn or list(study.study.pairs[:1])


def checked_clip(study: StudyFolder, pair: Pair) -> str:
    """The SHA-256 of the clip that a check shows: that of either model, by chance, so that checks tell
    nothing of whose clips are whose."""
    return (pair.sha256_a, pair.sha256_b)[int(study.study.hidden("checked", pair.id), 16) % 2]


def prepare_clips(
    study: StudyFolder, runs: Mapping[str, RunFolder], resources: Resources, progress: Progress
) -> None:
    """Make every copy that is not there. Raises `RunError` for a clip that is gone or another one."""
    wanted: dict[tuple[str, bool], Path] = {}
    places: dict[tuple[str, str], Path] = {}
    for run in study.study.runs:
        for sample in runs[run.label].samples().values():
            if sample.status == "ok":
                places[run.label, str(sample.sha256)] = runs[run.label].video_path(sample)
    for pair in study.study.pairs:
        for label, sha256 in ((pair.a, pair.sha256_a), (pair.b, pair.sha256_b)):
            if (label, sha256) not in places:
                raise RunError(
                    f"{study.path}: the clip of {pair.prompt_id}, seed {pair.seed}, by {label} is another one"
                    " now; make a new study with another --out"
                )
            wanted[sha256, False] = places[label, sha256]
    for pair in checks(study):
        sha256 = checked_clip(study, pair)
        wanted[sha256, True] = places[pair.a if sha256 == pair.sha256_a else pair.b, sha256]
    study.clips.mkdir(exist_ok=True)
    jobs = []
    for (sha256, blurred), path in wanted.items():
        if not (out := study.clip(sha256, blurred)).exists():
            fields = {
                "out": str(out), "short_side": MOST_SIDE, "stills": {}, "sha256": sha256, "codec": "viewing",
                "normalization": Normalization().model_dump(mode="json"), "blur": BLUR if blurred else 0.0,
            }  # fmt: skip
            jobs.append(DecoderJob(path, "preview", out, fields))
    progress.begin("clips", len(jobs))
    for event in resources.pool.run(jobs):
        if event.error is not None:
            raise RunError(f"{event.job.path}: {event.error}")
        if event.kind == "done":
            event.job.tag.with_suffix(".jpg").unlink(missing_ok=True)
            progress.advance(False)
    for sha256, blurred in wanted:
        os.utime(study.clip(sha256, blurred), (0, 0))  # the time of making would tell runs apart

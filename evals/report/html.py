"""The comparison as one self-contained page: tables, verdicts, and the videos side by side."""

from __future__ import annotations

import base64
import hashlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jinja2
from markupsafe import Markup

from evals.compare import Comparison, RunScores
from evals.decoding.pool import DecoderJob, Pool
from evals.errors import OutsideRun
from evals.records import ALL, MetricInfo, Prompt
from evals.report import tables
from evals.report.numbers import interval, number, percent
from evals.report.tables import arrow, cells, value_or_reason
from evals.report.words import answer, distances, sentences
from evals.runs.folder import SampleId

MARK = '<meta name="generator" content="t2v-evals">'
"""Stands in every page of ours, and in no other."""
PREVIEW = {"short_side": 192, "seconds": 4.0}
PREVIEW_BYTES = 40_000_000
POLICY_HERE = "content-security-policy-of-this-page"
PreviewId = tuple[str, SampleId]
"""Run label and sample."""


@dataclass(frozen=True)
class Preview:
    """A small copy of a video as a data URL, or why there is none."""

    data: str | None
    why_none: str = ""


@dataclass(frozen=True)
class Tile:
    """One video of the side-by-side view."""

    run: str
    data: str | None
    caption: str
    values: list[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """One prompt with its videos, one per run."""

    prompt: Prompt
    seed: int
    tiles: list[Tile]


def render(comparison: Comparison, pool: Pool | None, prompts: int) -> str:
    """The page as text. Everything that came from a user is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evals.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, short=partial(number, digits=2))
    rows, left_out = _side_by_side(comparison, pool, prompts) if pool else ([], 0)
    page = environment.get_template("page.html.j2").render(
        comparison=comparison,
        labels=comparison.labels,
        prompts=comparison.scores["prompt_id"].nunique(),
        answer=answer(comparison),
        findings=sentences(comparison) + distances(comparison),
        percent=percent,
        means=cells(comparison),
        categories=_categories(comparison),
        protocols=tables.protocols(comparison),
        unmeasured=tables.unmeasured(comparison),
        notes=_notes(comparison),
        rows=rows,
        left_out=left_out,
        interval=interval,
        arrow=arrow,
        value_or_reason=value_or_reason,
        slug=lambda verdict: (verdict or "").replace(" ", "-"),
        mark=Markup(MARK),
        policy=POLICY_HERE,
    )
    return page.replace(POLICY_HERE, _policy(page))


def _policy(page: str) -> str:
    """What the page may do: its own script and styles, and videos that it holds itself; nothing else."""
    hashes = {}
    for tag in ("script", "style"):
        inside = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        hashes[tag] = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    rules = ["default-src 'none'", "media-src data:", "base-uri 'none'", "form-action 'none'"]
    return "; ".join([*rules, *(f"{tag}-src 'sha256-{found}'" for tag, found in hashes.items())])


def _categories(comparison: Comparison) -> dict[str, list[tuple[MetricInfo, list[list[str]]]]]:
    names = sorted({mean.category for mean in comparison.means} - {ALL})
    return {name: cells(comparison, name) for name in names} if len(names) > 1 else {}


def _notes(comparison: Comparison) -> list[tuple[str, str, str, int]]:
    """Notes on scores with how often they occur: (run, metric, note, count)."""
    counted = Counter((n.run, n.metric, n.note) for n in comparison.notes)
    return [(*key, count) for key, count in counted.items()]


def _side_by_side(comparison: Comparison, pool: Pool, prompts: int) -> tuple[list[Row], int]:
    shown: dict[str, tuple[Prompt, int]] = {}
    for run in comparison.sources:
        had = run.samples[run.samples["status"] != "missing"]
        for prompt_id, seed in zip(had["prompt_id"], had["seed"], strict=True):
            shown.setdefault(prompt_id, (run.prompts[prompt_id], int(seed)))
    chosen = list(shown.values())[:prompts]
    previews = _previews(comparison.sources, [(p.id, seed) for p, seed in chosen], pool)
    rows = []
    for prompt, seed in chosen:
        tiles = [_tile(comparison, run, (prompt.id, seed), previews) for run in comparison.sources]
        rows.append(Row(prompt, seed, tiles))
    return rows, len(shown) - len(rows)


def _tile(comparison: Comparison, run: RunScores, at: SampleId, previews: dict[PreviewId, Preview]) -> Tile:
    samples = run.samples[(run.samples["prompt_id"] == at[0]) & (run.samples["seed"] == at[1])]
    if samples.empty or samples.iloc[0]["status"] == "missing":
        return Tile(run.label, None, "missing", [])
    sample = samples.iloc[0]
    if sample["status"] != "ok":
        return Tile(run.label, None, f"{sample['status']}: {sample['message']}", [])
    values = []
    for info in comparison.of_kind("video"):
        scores = run.by_metric.get(info.id)
        if scores is not None and at in scores.index:
            status, value = scores["status"].at[at], scores["value"].at[at]
            values.append((info.id, number(float(str(value))) if status == "ok" else str(status)))
    size = f"{int(sample['width'])}×{int(sample['height'])}"
    caption = f"{size}, {int(sample['frames'])} frames, {sample['fps']:g} fps"
    found = previews.get((run.label, at), Preview(None, "no preview"))
    return Tile(run.label, found.data, caption + (f" ({found.why_none})" if found.why_none else ""), values)


def _previews(runs: Sequence[RunScores], chosen: Sequence[SampleId], pool: Pool) -> dict[PreviewId, Preview]:
    """Small H.264 copies of the videos that were recorded, made in decoder processes, up to a total size."""
    found: dict[PreviewId, Preview] = {}
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:

        def jobs() -> Iterator[DecoderJob]:
            for at in chosen:
                for run in runs:
                    sample = run.videos.get(at)
                    if sample is None or run.folder is None:
                        continue
                    try:
                        path = run.folder.video_path(sample)
                    except OutsideRun:
                        found[run.label, at] = Preview(None, "outside of the run: --allow-outside shows it")
                        continue
                    out = Path(folder) / f"{next(numbers)}.mp4"
                    fields = {**PREVIEW, "out": str(out), "sha256": sample.sha256}
                    yield DecoderJob(path, "preview", (run.label, at, out), fields)

        for event in pool.run(jobs()):
            label, at, out = event.job.tag
            if event.error is not None:
                found[label, at] = Preview(None, f"no preview: {event.error}")
            elif event.kind == "done":
                data = "data:video/mp4;base64," + base64.b64encode(out.read_bytes()).decode()
                found[label, at] = Preview(data)
                out.unlink()
    return _within_size(found, [(run.label, at) for at in chosen for run in runs])


def _within_size(found: dict[PreviewId, Preview], order: Sequence[PreviewId]) -> dict[PreviewId, Preview]:
    """The first previews that fit into a page."""
    total, kept = 0, {}
    for key in order:
        one = found.get(key)
        if one is not None:
            total += len(one.data or "")
            kept[key] = one if total <= PREVIEW_BYTES else Preview(None, "no preview: the page is full")
    return kept

"""The comparison as one self-contained page: tables, verdicts, and the videos side by side."""

from __future__ import annotations

import base64
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from evals.compare import Comparison, LoadedRun
from evals.decoding.pool import Job, Pool
from evals.records import MetricInfo, Prompt
from evals.report import tables
from evals.report.markdown import means
from evals.report.tables import arrow, findings, interval, number, records

PREVIEW = {"short_side": 192, "seconds": 4.0}
PREVIEW_BYTES = 40_000_000


@dataclass(frozen=True)
class Clip:
    """One cell of the side-by-side view."""

    run: str
    data: str | None
    caption: str
    values: list[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """One prompt with its clips, one per run."""

    prompt: Prompt
    seed: int
    clips: list[Clip]


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
    return environment.get_template("page.html.j2").render(
        comparison=comparison,
        labels=[r.label for r in comparison.runs],
        findings=findings(comparison),
        means=means(comparison, "all"),
        categories=_categories(comparison),
        pairs=records(comparison.pairs),
        sets=records(comparison.sets),
        protocols=tables.protocols(comparison),
        unmeasured=tables.unmeasured(comparison),
        problems=[p for p in records(comparison.problems) if p["status"] != "note"],
        notes=_notes(comparison),
        rows=rows,
        left_out=left_out,
        interval=interval,
        arrow=arrow,
        versions=lambda run: tables.versions(run),
        slug=lambda verdict: verdict.replace(" ", "-"),
    )


def _categories(comparison: Comparison) -> dict[str, list[tuple[MetricInfo, list[list[str]]]]]:
    names = sorted(set(comparison.summary["category"]) - {"all"})
    return {name: means(comparison, name) for name in names} if len(names) > 1 else {}


def _notes(comparison: Comparison) -> list[dict[str, Any]]:
    """Notes on scores, counted: they would be many."""
    notes = comparison.problems[comparison.problems["status"] == "note"]
    counted = notes.groupby(["run", "metric", "reason"], sort=False).size().reset_index(name="count")
    return records(counted)


def _side_by_side(comparison: Comparison, pool: Pool, prompts: int) -> tuple[list[Row], int]:
    shown: dict[str, tuple[Prompt, int]] = {}
    for run in comparison.runs:
        for prompt_id, seed in run.run.info.sample_ids():
            if prompt_id not in shown and (prompt_id, seed) in run.samples:
                shown[prompt_id] = (run.prompts[prompt_id], seed)
    chosen = list(shown.values())[:prompts]
    previews = _previews(comparison.runs, chosen, pool)
    rows = []
    for prompt, seed in chosen:
        clips = [_clip(comparison, run, (prompt.id, seed), previews) for run in comparison.runs]
        rows.append(Row(prompt, seed, clips))
    return rows, len(shown) - len(rows)


def _clip(comparison: Comparison, run: LoadedRun, at: tuple[str, int], previews: dict[Any, str]) -> Clip:
    sample = run.samples.get(at)
    values = []
    for name in comparison.metrics:
        status, value = run.status(at, name)
        if name in run.metrics and run.metrics[name].kind == "video":
            values.append((name, number(value) if status == "ok" else status))
    if sample is None:
        return Clip(run.label, None, "missing", [])
    if sample.outcome != "ok" or sample.actual is None:
        return Clip(run.label, None, f"{sample.outcome}: {sample.reason}", [])
    f = sample.actual
    caption = f"{f.width}×{f.height}, {f.frames} frames, {f.fps:g} fps"
    data = previews.get((run.label, at))
    if data is None:
        caption += " (no preview)"
    return Clip(run.label, data, caption, values)


def _previews(runs: list[LoadedRun], chosen: list[tuple[Prompt, int]], pool: Pool) -> dict[Any, str]:
    """Small H.264 copies as data URLs, made in decoder processes, up to a total size."""
    found: dict[Any, str] = {}
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:

        def jobs() -> Iterator[Job]:
            for prompt, seed in chosen:
                for run in runs:
                    sample = run.samples.get((prompt.id, seed))
                    if sample is not None and sample.outcome == "ok":
                        out = Path(folder) / f"{next(numbers)}.mp4"
                        tag = (run.label, (prompt.id, seed), out)
                        yield Job(run.run.video_path(sample), "preview", tag, {**PREVIEW, "out": str(out)})

        for event in pool.run(jobs()):
            label, at, out = event.job.tag
            if event.kind == "done":
                found[label, at] = "data:video/mp4;base64," + base64.b64encode(out.read_bytes()).decode()
                out.unlink()
    total, kept = 0, {}
    for prompt, seed in chosen:
        for run in runs:
            key = (run.label, (prompt.id, seed))
            total += len(found.get(key, ""))
            if key in found and total <= PREVIEW_BYTES:
                kept[key] = found[key]
    return kept

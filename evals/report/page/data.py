"""What the viewer reads: `data/rows.js`, and curves in pieces that it loads when a video is opened.

Both are scripts that hand over one JSON value, since a page opened from a disk may load scripts from beside
it and nothing else. JavaScript only orders, filters and shows; every number is made here or before."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evals.compare import Comparison, RunScores
from evals.decoding.previews import shape
from evals.records import digest
from evals.report.figures.style import SERIES
from evals.report.page.curves import CURVES, Flag, Found
from evals.report.page.media import Shown, ShownId
from evals.report.page.rows import Row, shown_metrics, spreads, values_of
from evals.report.terminal import short_names

DATA = "data"
PER_FILE = 24  # rows whose curves are in one file
OURS = re.compile(r"(rows|curves-\d{3,})\.js")
DIGITS = 4


def comparison_id(comparison: Comparison) -> str:
    """Under what the browser keeps stars and comments: which runs, on which samples."""
    samples = [[r.label, sorted(r.videos.sha256(at) for at in r.videos)] for r in comparison.sources]
    return digest([comparison.labels, samples])[:12]


def rows_data(
    comparison: Comparison,
    rows: Sequence[Row],
    found: Mapping[ShownId, Found],
    shown: Mapping[ShownId, Shown],
) -> dict[str, Any]:
    """The viewer's table. A cell is null where the run was not asked for the sample, else [status, reason,
    media name, original, fps and frames of the copy, width, height, whether the rate varies, flags, values];
    a flag is [kind, first, last (seconds), frame of its still or -1, what was found in words]."""
    metrics, spread = shown_metrics(comparison), spreads(comparison)
    names = short_names([info.id for info in metrics])
    prompts = {row.prompt.id: row.prompt for row in rows}
    places = {name: i for i, name in enumerate(prompts)}
    tables = values_of(comparison)
    columns = [_Cells(run, tables.get(run.label), found, shown) for run in comparison.sources]
    return {
        "id": comparison_id(comparison),
        "runs": comparison.labels,
        "baseline": comparison.baseline,
        "metrics": [
            {"id": i.id, "name": names[i.id], "direction": i.direction, "primary": i.role == "primary",
             "spread": _rounded(spread.get(i.id, (0.0, 0.0))[1]) or 0,
             "mean": _rounded(spread.get(i.id, (0.0, 0.0))[0]) or 0}
            for i in metrics
        ],
        "colours": SERIES,
        "curves": [{"name": c.name, "title": c.title, "between": c.between} for c in CURVES],
        "perFile": PER_FILE,
        "prompts": [[p.id, p.text, p.category, list(p.tags)] for p in prompts.values()],
        "rows": [
            [places[row.prompt.id], row.seed, row.disagreement, [column.cell(row) for column in columns]]
            for row in rows
        ],
    }  # fmt: skip


class _Cells:
    """The cells of one run."""

    def __init__(
        self,
        run: RunScores,
        table: pd.DataFrame | None,
        found: Mapping[ShownId, Found],
        shown: Mapping[ShownId, Shown],
    ) -> None:
        self.label, self.found, self.shown = run.label, found, shown
        self.videos = run.videos
        columns = ("prompt_id", "seed", "status", "message")
        self.samples = {
            (p, int(s)): (status, message)
            for p, s, status, message in zip(*(run.samples[c] for c in columns), strict=True)
        }
        self.values: dict[Any, list[float | None]] = {}
        if table is not None:
            matrix = np.asarray(table, np.float64)
            self.values = {at: _numbers(line) for at, line in zip(table.index, matrix, strict=True)}

    def cell(self, row: Row) -> list[Any] | None:
        known = self.samples.get(row.at)
        if known is None:
            return None
        key = (self.label, row.at)
        shown, one = self.shown.get(key, Shown()), self.found.get(key)
        sample = self.videos.get(row.at)
        facts = sample.actual if sample else None
        form: list[float] = [0, 0, 0, 0, 0]
        if facts:
            fps, frames = shape(facts)
            form = [round(fps, 6), frames, facts.width, facts.height, int(facts.variable_rate)]
        flags = [_flag(flag, one, shown) for flag in one.flags] if one else []
        status, message = known
        why = shown.why_none if status == "ok" else message
        return [status, why, shown.name, shown.original, *form, flags, self.values.get(row.at, [])]


def _flag(flag: Flag, one: Found, shown: Shown) -> list[Any]:
    still = flag.moment if flag.moment in shown.stills else -1
    return [flag.kind, round(one.at(flag.first), 6), round(one.at(flag.last), 6), still, flag.said]


def curves_data(
    comparison: Comparison, rows: Sequence[Row], found: Mapping[ShownId, Found]
) -> list[dict[str, Any]]:
    """The curves of `PER_FILE` rows at a time: by row number, per run, [fps, {curve:
    values}] or null, with the frames' times where these are uneven."""
    pieces: list[dict[str, Any]] = []
    for start in range(0, len(rows), PER_FILE):
        piece = {}
        for number, row in enumerate(rows[start : start + PER_FILE], start):
            sides = [found.get((label, row.at)) for label in comparison.labels]
            if any(sides):
                piece[str(number)] = [one and _curves(one) for one in sides]
        pieces.append(piece)
    return pieces


def _curves(one: Found) -> list[Any]:
    curves = {name: _numbers(values) for name, values in one.curves.items()}
    times = [] if one.even else [[round(t, 4) for t in one.times.tolist()]]
    return [round(one.fps, 6), curves, *times]


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [_rounded(value) for value in values.tolist()]


def _rounded(value: float) -> float | None:
    """A number as short as a reader needs it; None for what is none."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def script(name: str, value: Any) -> str:
    """A script that hands over a value; nothing in it can end a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"(globalThis.t2vEvals ??= {{}})[{json.dumps(name)}] = {text};\n"

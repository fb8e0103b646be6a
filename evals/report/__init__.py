"""A comparison to files: a page for people, Markdown for pull requests, CSV and JSON for programs, figures
for papers.

Same inputs, same bytes: nothing here knows the time or the machine.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.compare import Comparison
from evals.decoding.pool import Pool
from evals.decoding.resources import Progress
from evals.errors import RunError, UsageError
from evals.gate.records import Calibration
from evals.report import figures, markdown
from evals.report.page import DATA, MARK, Contents, curves, data, media, render
from evals.report.page.curves import Found
from evals.report.page.failures import Failing, failing
from evals.report.page.media import ShownId
from evals.report.page.rows import Row, first_prompts, rows_of
from evals.report.recipe import recipe
from evals.report.tables import csv_frames
from evals.runs.journal import sync_folder

PAGE = "index.html"
FILES = (
    "summary.md", "scores.csv", "distributions.csv", "means.csv", "pairs.csv", "standings.csv",
    "categories.csv", "problems.csv", "comparison.json", "recipe.json", PAGE,
)  # fmt: skip
VIDEOS = 48
"""Prompts whose videos a page shows by default."""


@dataclass(frozen=True)
class PageOptions:
    """What a page shows. `videos` is the number of prompts, the most telling first, whose videos are
    copied (None: all); `figures` whether there are any; `portable` copies the originals, too; `single`
    puts everything into the page itself."""

    videos: int | None = VIDEOS
    figures: bool = True
    portable: bool = False
    single: bool = False


def check_place(out: Path, force: bool = False) -> None:
    """Raises `UsageError` for a folder whose page is not a report's: it would be overwritten."""
    page = out / PAGE
    try:
        if force or not page.exists() or MARK.encode() in page.read_bytes()[:4096]:
            return
    except OSError as error:
        raise RunError(f"{page}: cannot be read: {error.strerror}; choose another --out") from None
    raise UsageError(f"{page}: no report wrote this page; choose another --out, or overwrite it: --force")


def write_report(
    comparison: Comparison, out: Path, pool: Pool | None = None, options: PageOptions | None = None,
    force: bool = False, progress: Progress | None = None, calibrations: Sequence[Calibration] = (),
) -> Path:  # fmt: skip
    """Write all files of a comparison into `out`; gives the page's path.

    With a `pool`, the page shows videos; `calibrations` are a gate's, to be drawn. Files are made beside
    those of an older report and renamed when all are there. Raises `RunError` where `out` cannot be
    written, `UsageError` where it holds another page and `force` is not set.
    """
    check_place(out, force)
    options = options or PageOptions()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as name:
            made = Path(name)
            pieces: dict[str, Any] = {}
            used, rows, fails = set[str](), list[Row](), list[Failing]()
            if pool is not None and options.videos != 0:
                rows = rows_of(comparison)
                found = curves.of_samples(comparison, [row.at for row in rows])
                fails = failing(comparison, rows, found)
                pieces, used = _viewer(comparison, rows, found, out, pool, options, progress or Progress())
            plots = figures.plots(comparison, calibrations) if options.figures else []
            figures.write(plots, made / figures.FOLDER)
            for name, text in _texts(comparison).items():
                _write(made / name, text)
            for name, value in {} if options.single else pieces.items():
                _write(made / DATA / f"{name}.js", data.script(name, value))
            contents = Contents(
                figures=plots, data=pieces, media=sorted(used), videos=bool(rows), failing=fails,
                without_previews=_without(rows, options), single=options.single,
                files=[name for name in FILES if name != PAGE],
            )  # fmt: skip
            _write(made / PAGE, render(comparison, contents, made / figures.FOLDER, out / media.MEDIA))
            kept = _published(made, out)
        _clear(out / figures.FOLDER, figures.OURS, kept)
        _clear(out / DATA, data.OURS, kept)
        _clear(out / media.MEDIA, media.OURS, set() if options.single else used)
        sync_folder(out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None
    return out / PAGE


def _published(made: Path, out: Path) -> set[str]:
    """Put all files in place, the page last; gives their names."""
    files = sorted((p for p in made.rglob("*") if p.is_file()), key=lambda p: p.name == PAGE)
    for path in files:
        place = out / path.relative_to(made)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
    return {path.name for path in files}


def _clear(folder: Path, ours: re.Pattern[str], kept: set[str]) -> None:
    """Delete what an older report left, and nothing that is not ours."""
    for path in folder.glob("*"):
        if ours.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _viewer(
    comparison: Comparison,
    rows: Sequence[Row],
    found: Mapping[ShownId, Found],
    out: Path,
    pool: Pool,
    options: PageOptions,
    progress: Progress,
) -> tuple[dict[str, Any], set[str]]:
    """What the viewer reads, by name of its script, and the files of `media/` that it shows."""
    wanted = [row.at for row in first_prompts(rows, options.videos)]
    shown = media.make(comparison, wanted, found, out, pool, progress, options.portable)
    pieces: dict[str, Any] = {"rows": data.rows_data(comparison, rows, found, shown)}
    for number, piece in enumerate(data.curves_data(comparison, rows, found)):
        pieces[f"curves-{number:03d}"] = piece
    return pieces, {name for one in shown.values() for name in one.files}


def _without(rows: Sequence[Row], options: PageOptions) -> int:
    return len(
        {row.prompt.id for row in rows} - {row.prompt.id for row in first_prompts(rows, options.videos)}
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _texts(comparison: Comparison) -> dict[str, str]:
    """The contents of every file but the page, by its name."""
    found = {
        f"{name}.csv": frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        for name, frame in csv_frames(comparison).items()
    }
    found["comparison.json"] = _json(comparison.to_json())
    found["recipe.json"] = _json(recipe(comparison))
    found["summary.md"] = markdown.render(comparison)
    return found


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


__all__ = ["FILES", "PAGE", "VIDEOS", "PageOptions", "check_place", "write_report"]

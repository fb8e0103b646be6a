"""A comparison to files: a page for people, Markdown for pull requests, CSV and JSON for programs, figures
for papers.

Same inputs, same bytes: nothing here knows the time or the machine.
"""

from __future__ import annotations

import csv
import json
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
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as made:
            plots = figures.plots(comparison, calibrations) if options.figures else []
            (out / figures.FOLDER).mkdir(exist_ok=True)
            figures.write(plots, out / figures.FOLDER)
            pieces: dict[str, Any] = {}
            used, rows = set[str](), list[Row]()
            shown = pool is not None and options.videos != 0 and bool(comparison.sources)
            if pool is not None and shown:
                rows = rows_of(comparison)
                pieces, used = _viewer(comparison, rows, out, pool, options, progress or Progress())
            contents = Contents(
                figures=plots, data=pieces, media=sorted(used), videos=shown and bool(rows),
                without_previews=_without(rows, options), single=options.single,
                files=[name for name in FILES if name != PAGE],
            )  # fmt: skip
            for name, text in _texts(comparison).items():
                _write(Path(made) / name, text)
            _write(Path(made) / PAGE, render(comparison, contents, out))
            _write_data({} if options.single else pieces, Path(made), out)
            for name in FILES:
                (Path(made) / name).replace(out / name)
        media.prune(out / media.MEDIA, set() if options.single else used)
        sync_folder(out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None
    return out / PAGE


def _viewer(
    comparison: Comparison,
    rows: Sequence[Row],
    out: Path,
    pool: Pool,
    options: PageOptions,
    progress: Progress,
) -> tuple[dict[str, Any], set[str]]:
    """What the viewer reads, by name of its script, and the files of `media/` that it shows."""
    found = curves.of_samples(comparison, [row.at for row in rows])
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
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_data(pieces: Mapping[str, Any], made: Path, out: Path) -> None:
    """The scripts of `data/`; those of an older report that had more go."""
    folder = out / DATA
    folder.mkdir(exist_ok=True)
    for name, value in pieces.items():
        _write(made / f"{name}.js", data.script(name, value))
        (made / f"{name}.js").replace(folder / f"{name}.js")
    for path in folder.glob("*.js"):
        if data.NAMED.fullmatch(path.name) and path.stem not in pieces:
            path.unlink()


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

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
from evals.errors import RunError
from evals.gate.records import Calibration
from evals.report import figures, markdown
from evals.report.page import DATA, Contents, curves, data, media, render
from evals.report.page.curves import Found
from evals.report.page.failures import Failing, failing
from evals.report.page.media import Shown, ShownId
from evals.report.page.rows import Row, first_prompts, rows_of
from evals.report.page.violations import Violation, violations
from evals.report.place import FILES, FOLDERS, MADE, PAGE, check_place, clear, publish, writing
from evals.report.recipe import recipe
from evals.report.tables import csv_frames
from evals.runs.journal import sync_folder

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
        with writing(out), tempfile.TemporaryDirectory(prefix=MADE, dir=out) as scratch:
            made = Path(scratch)
            pieces: dict[str, Any] = {}
            used, copied, rows, fails = set[str](), set[str](), list[Row](), list[Failing]()
            broken: list[tuple[str, list[Violation], int]] = []
            if pool is not None and options.videos != 0:
                rows = rows_of(comparison)
                found = curves.of_samples(comparison, [row.at for row in rows])
                fails = failing(comparison, rows, found)
                wanted = [row.at for row in first_prompts(rows, options.videos)]
                shown = media.make(
                    comparison, wanted, found, out, pool, progress or Progress(), options.portable
                )
                pieces = _pieces(comparison, rows, found, shown)
                broken = violations(comparison, rows, found, shown)
                used = {name for one in shown.values() for name in one.files}
                copied = {Path(one.original).name for one in shown.values()}
            plots = figures.plots(comparison, calibrations) if options.figures else []
            figures.write(plots, made / figures.FOLDER)
            for name, text in _texts(comparison).items():
                _write(made / name, text)
            for name, value in {} if options.single else pieces.items():
                _write(made / DATA / f"{name}.js", data.script(name, value))
            contents = Contents(
                figures=plots, data=pieces, media=sorted(used), videos=bool(rows), failing=fails,
                violations=broken,
                without_previews=_without(rows, options), single=options.single,
                files=[name for name in FILES if name != PAGE],
            )  # fmt: skip
            _write(made / PAGE, render(comparison, contents, made / figures.FOLDER, out / media.MEDIA))
            kept = publish(made, out) | copied | (set() if options.single else used)
            for folder, ours in FOLDERS.items():
                clear(out / folder, ours, kept)
        sync_folder(out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None
    return out / PAGE


def _pieces(
    comparison: Comparison,
    rows: Sequence[Row],
    found: Mapping[ShownId, Found],
    shown: Mapping[ShownId, Shown],
) -> dict[str, Any]:
    """What the viewer reads, by name of its script."""
    pieces: dict[str, Any] = {"rows": data.rows_data(comparison, rows, found, shown)}
    for number, piece in enumerate(data.curves_data(comparison, rows, found)):
        pieces[f"curves-{number:03d}"] = piece
    return pieces


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

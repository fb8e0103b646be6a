"""A comparison to files: CSV and JSON for programs, Markdown and one self-contained page for people.

Same inputs, same bytes: nothing here knows the time or the machine.
"""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

from evals.compare import Comparison
from evals.decoding.pool import Pool
from evals.errors import RunError, UsageError
from evals.report import html, markdown
from evals.report.tables import csv_frames
from evals.runs.journal import sync_folder

PAGE = "index.html"
FILES = (
    "summary.md", "scores.csv", "distributions.csv", "means.csv", "pairs.csv", "standings.csv",
    "comparison.json", PAGE,
)  # fmt: skip


def check_place(out: Path, force: bool = False) -> None:
    """Raises `UsageError` for a folder whose page is not a report's: it would be overwritten."""
    page = out / PAGE
    try:
        if force or not page.exists() or html.MARK.encode() in page.read_bytes()[:4096]:
            return
    except OSError as error:
        raise RunError(f"{page}: cannot be read: {error.strerror}; choose another --out") from None
    raise UsageError(f"{page}: no report wrote this page; choose another --out, or overwrite it: --force")


def write_report(
    comparison: Comparison, out: Path, pool: Pool | None = None, prompts: int = 24, force: bool = False
) -> Path:
    """Write all files of a comparison into `out`; gives the page's path.

    With a `pool`, the page shows the videos of the first `prompts` prompts side by side. Files are made
    beside those of an older report and renamed when all are there. Raises `RunError` where `out` cannot be
    written, `UsageError` where it holds another page and `force` is not set.
    """
    check_place(out, force)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as made:
            for name, text in _texts(comparison, pool, prompts).items():
                (Path(made) / name).write_text(text, encoding="utf-8", newline="\n")
            for name in FILES:
                (Path(made) / name).replace(out / name)
        sync_folder(out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None
    return out / PAGE


def _texts(comparison: Comparison, pool: Pool | None, prompts: int) -> dict[str, str]:
    """The contents of every file by its name."""
    found = {
        f"{name}.csv": frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        for name, frame in csv_frames(comparison).items()
    }
    data = json.dumps(comparison.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    found["comparison.json"] = data + "\n"
    found["summary.md"] = markdown.render(comparison)
    found[PAGE] = html.render(comparison, pool, prompts)
    return found

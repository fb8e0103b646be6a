"""A comparison to files: CSV and JSON for programs, Markdown and one self-contained page for people.

Same inputs, same bytes: nothing here knows the time or the machine.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from evals.compare import Comparison
from evals.decoding.pool import Pool
from evals.errors import RunError
from evals.report import html, markdown
from evals.report.tables import csv_frames

FILES = (
    "index.html", "summary.md", "scores.csv", "distributions.csv", "means.csv", "pairs.csv",
    "comparison.json",
)  # fmt: skip


def write_report(comparison: Comparison, out: Path, pool: Pool | None = None, prompts: int = 24) -> Path:
    """Write all files of a comparison into `out`; gives the page's path.

    With a `pool`, the page shows the videos of the first `prompts` prompts side by side. Raises `RunError`
    where `out` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, frame in csv_frames(comparison).items():
            text = frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
            (out / f"{name}.csv").write_text(text, encoding="utf-8")
        data = json.dumps(comparison.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        (out / "comparison.json").write_text(data + "\n", encoding="utf-8")
        (out / "summary.md").write_text(markdown.render(comparison), encoding="utf-8")
        page = html.render(comparison, pool, prompts)
        (out / "index.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None
    return out / "index.html"

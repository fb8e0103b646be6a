"""A comparison in the terms of other suites."""

from __future__ import annotations

from pathlib import Path

from evals.compare import Comparison, vbench
from evals.errors import UsageError


def vbench_view(found: Comparison, out: Path, submission: Path | None) -> str:
    """VBench's dimensions as text, and as `vbench.csv` in `out`; with `submission` its result files of the
    one run, there. Raises `UsageError` where they would not be a VBench score."""
    table = vbench.view(found.runs)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "vbench.csv", index=False)
    text = vbench.as_text(table)
    if submission is not None:
        if len(found.runs) != 1:
            raise UsageError("--submission takes one run: every model has a submission of its own")
        written = vbench.submission(found.runs[0], submission)
        text += "\n" + "\n".join(f"wrote {path}" for path in written)
    return text

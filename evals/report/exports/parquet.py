"""Parquet: every table of the comparison, with its types, through pyarrow."""

from __future__ import annotations

from pathlib import Path

from evals.compare import Comparison
from evals.report.tables import frames


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """One file per table."""
    written = []
    for name, frame in frames(comparison).items():
        path = folder / f"{name}.parquet"
        partial = path.with_name(f".{path.name}")
        typed = frame.convert_dtypes()
        for column in typed.columns:
            if typed[column].isna().all():
                typed[column] = typed[column].astype("string")  # a column of nothing has no type of its own
        typed.to_parquet(partial, index=False, engine="pyarrow")
        partial.replace(path)
        written.append(path)
    return written

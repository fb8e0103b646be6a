"""The results in the formats of others, one file per format."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from evals.compare import Comparison
from evals.errors import RunError, UsageError
from evals.report.exports import every_eval_ever, hugging_face, latex, parquet

EXPORTS: dict[str, Callable[[Comparison, Path], list[Path]]] = {
    "parquet": parquet.write,
    "latex": latex.write,
    "every-eval-ever": every_eval_ever.write,
    "hugging-face": hugging_face.write,
}
NEEDED = {"parquet": "pyarrow"}


def check(names: Sequence[str]) -> None:
    """Raises `UsageError` for a format whose library is not installed, before any work starts."""
    for name in names:
        library = NEEDED.get(name)
        if library is not None and importlib.util.find_spec(library) is None:
            raise UsageError(f"--export {name}: {library} is not installed: pip install 't2v-evals[export]'")


def export(comparison: Comparison, name: str, folder: Path) -> list[Path]:
    """Write a comparison in a format of `EXPORTS` into a folder; gives the files. Raises `RunError` where
    it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return EXPORTS[name](comparison, folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}; choose another --out") from None

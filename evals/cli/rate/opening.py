"""A study for runs, as several commands open it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH
from evals.errors import RunError, UsageError

if TYPE_CHECKING:
    from evals.ratings.study import Aspect, StudyFolder
    from evals.runs.folder import RunFolder

out = click.option("--out", type=PATH, help="The study's folder (default: ratings/ and the runs' names).")
aspect = click.option(
    "--aspect", type=click.Choice(["overall", "alignment", "motion", "physics", "appearance"]),
    default="overall", show_default=True, help="What the videos are compared for.",
)  # fmt: skip
limit = click.option("--limit", type=click.IntRange(1), help="Only so many prompts, drawn by chance.")


@contextmanager
def opened(
    paths: Sequence[Path], out: Path | None, aspect: Aspect, limit: int | None, allow_outside: bool
) -> Iterator[tuple[StudyFolder, dict[str, RunFolder]]]:
    """The study and its runs by label, made where it is new; its folder is locked as long. Raises
    `UsageError`."""
    from evals.compare.run_scores import labels_of
    from evals.ratings.study import open_study
    from evals.runs.folder import RunFolder
    from evals.runs.lock import held

    if len(paths) < 2:
        raise UsageError("votes are between runs: give two or more")
    runs = [RunFolder(path, allow_outside) for path in paths]
    labels = labels_of([run.path for run in runs])
    place = out or Path("ratings") / re.sub(r"[^\w.-]+", "-", "-vs-".join(labels))[:90]
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{place}: cannot be made: {error.strerror}; choose another --out") from None
    with held(place):
        study = open_study(place, runs, labels, aspect, limit)
        yield study, dict(zip(labels, runs, strict=True))


def runs_of(study: StudyFolder) -> dict[str, RunFolder]:
    """The runs of a study that are still where they were."""
    from evals.runs.folder import RunFolder

    found = {}
    for run in study.study.runs:
        try:
            found[run.label] = RunFolder(Path(run.path))
        except RunError:
            continue
    return found

"""Runs and plain folders of clips alike: a folder that is no run becomes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.output import say

if TYPE_CHECKING:
    from evals.decoding.resources import Progress, Resources
    from evals.runs.folder import RunFolder
    from evals.runs.segments import Shard


def is_clips(path: Path) -> bool:
    """Whether a path is a folder of clips, and no run."""
    return path.is_dir() and not (path / "run.json").exists()


def runs_of(
    paths: Sequence[Path], place: Path, allow_outside: bool, resources: Resources, progress: Progress,
    shard: Shard | None = None,
) -> list[RunFolder]:  # fmt: skip
    """Runs at their paths; of folders of clips, runs in `place` that take them in. Raises `UsageError`."""
    from evals.runs.folder import RunFolder

    return [
        _taken_in(path, place, resources, progress, shard)
        if is_clips(path)
        else RunFolder(path, allow_outside, shard)
        for path in paths
    ]


def _taken_in(
    path: Path, place: Path, resources: Resources, progress: Progress, shard: Shard | None
) -> RunFolder:
    from evals import generators
    from evals.errors import RunMismatch
    from evals.generate import RunConfig, generate_run
    from evals.records import digest
    from evals.runs.naming import default_name

    generator = generators.create(f"folder:{path}")
    name = default_name(generator.label)
    try:
        run = generate_run(RunConfig(generator, place / name, shard=shard), resources, progress)
    except RunMismatch:  # another folder of the same name was taken in there
        name = f"{name}-{digest(str(path.resolve()))[:6]}"
        run = generate_run(RunConfig(generator, place / name, shard=shard), resources, progress)
    say(f"{path}: a folder of clips; its run is {run.path}")
    return run

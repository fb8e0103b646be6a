"""`reference`: reference sets as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.cli.options import (
    PATH,
    Common,
    Normalizing,
    allow_outside,
    common,
    normalizing,
    precision,
    weights,
)
from evals.cli.output import tell

_out = click.option("--out", type=PATH, required=True, help="The file to write (.npz).")
_encoder = click.option("--encoder", required=True, help="Encoder, such as i3d or i3d:videogpt.")


@click.group(name="reference")
def command() -> None:
    """Reference sets as files: `build` from clips or a run, `import` from another tool."""


@command.command()
@click.argument("source", type=PATH)
@_encoder
@_out
@click.option(
    "--features/--no-features",
    default=True,
    show_default=True,
    help="Keep every video's feature, for kvd, precision … and --match.",
)
@click.option(
    "--clips",
    type=click.Choice(["first", "random"]),
    default="first",
    show_default=True,
    help="Where a video's one clip starts: StyleGAN-V takes random clips of real videos.",
)
@allow_outside
@weights
@precision
@normalizing
@common
def build(source: Path, normalizing: Normalizing, common: Common, **o: Any) -> int:  # fmt: skip
    """Mean, covariance and features of SOURCE (a folder of clips, or a run) as one file."""
    from evals.compare.runs import build_reference

    common.start()
    with common.resources() as resources:
        made = build_reference(
            source, o["encoder"], o["out"], normalizing.normalization(), o["weights"], resources,
            o["features"], o["clips"], o["precision"], o["allow_outside"],
        )  # fmt: skip
    _say(o["out"], made)
    return 0


@command.command(name="import")
@click.argument("source", type=PATH)
@_encoder
@_out
@click.option(
    "--ddof",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    help="What the covariance was divided by: n - ddof.",
)
@click.option("--count", type=click.IntRange(2), help="How many videos, where the file does not say.")
@weights
@normalizing
def import_(source: Path, normalizing: Normalizing, **o: Any) -> int:  # fmt: skip
    """Another tool's statistics, npz or a pickle of arrays. You vouch that they are of --encoder."""
    from evals.compare.reference import import_statistics
    from evals.encoders import create

    spec = create(o["encoder"], o["weights"]).spec
    normalization = str(normalizing.normalization())
    made = import_statistics(source, o["encoder"], spec, normalization, o["ddof"], o["count"])
    made.save(o["out"])
    _say(o["out"], made)
    return 0


def _say(out: Path, made: Any) -> None:
    size = f"{made.total.n} videos, d = {made.total.mean.size}"
    tell(f"{out}: {size}, {made.encoder}, {made.normalization}")

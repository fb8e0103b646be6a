"""`distance`: distribution metrics on feature arrays of your own."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import PATH
from evals.cli.output import say, tell, tell_json

NAMES = (
    "fvd", "fvd_unbiased", "kvd", "jedi", "mmd2", "precision", "recall", "density", "coverage",
    "memorization",
)  # fmt: skip


@click.command(name="distance")
@click.argument("generated", type=PATH)
@click.argument("real", type=PATH)
@click.option(
    "--statistic",
    "names",
    multiple=True,
    type=click.Choice(NAMES),
    default=("fvd", "fvd_unbiased", "kvd"),
    show_default=True,
    help="Repeatable.",
)
@click.option(
    "--ddof",
    type=click.IntRange(0, 1),
    default=1,
    show_default=True,
    help="Of the Fréchet distance's covariance.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(generated: Path, real: Path, names: tuple[str, ...], ddof: int, as_json: bool) -> int:
    """Distances between two arrays of features of your own, GENERATED and REAL: .npy files (n, d).

    `jedi` is for features of V-JEPA 1 with its probe, `mmd2` the same formula on any others.
    """
    from evals.metrics.arrays import measure, read

    found = measure(read(generated), read(real), names, ddof)
    if as_json:
        tell_json(found)
        return 0
    for one in found["statistics"]:
        bounds = "" if one["low"] is None else f"  [{one['low']:.6g}, {one['high']:.6g}]"
        tell(f"{one['name']:14s} {one['value']:.8g}{bounds}")
    say(f"n = {found['n']} generated, {found['n_real']} real, d = {found['d']}")
    for warning in found["warnings"]:
        say(f"warning: {warning}")
    return 0

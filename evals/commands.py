"""Commands beside the daily ones: `reference`, `weights`, `distance` of arrays, and `validate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from evals.errors import WeightsError
from evals.options import (
    choosing,
    common,
    metrics_of,
    normalize,
    path_type,
    resources_of,
    view_of,
    weights,
)


@click.group()
def reference() -> None:
    """Reference sets as files: `build` from clips or a run, `import` from another tool."""


_out = click.option("--out", type=path_type, required=True, help="The file to write (.npz).")
_encoder = click.option("--encoder", required=True, help="Encoder, such as i3d or i3d:videogpt.")


@reference.command(name="build")
@click.argument("source", type=path_type)
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
    type=click.Choice(["first", "drawn"]),
    default="first",
    show_default=True,
    help="Where a video's one window starts: StyleGAN-V draws it for real videos.",
)
@weights
@normalize
@common
def reference_build(source: Path, **o: Any) -> int:
    """Mean, covariance and features of SOURCE (a folder of clips, or a run) as one file."""
    from evals.run import build_reference

    resources = resources_of(o)
    paths = {k: Path(v) for k, v in o["weights"].items()}
    made = build_reference(
        source, o["encoder"], o["out"], view_of(o), paths, resources, o["features"], o["clips"]
    )
    click.echo(f"{o['out']}: {made.total.n} videos, d = {made.total.mean.size}, {made.encoder}, {made.view}")
    return 0


@reference.command(name="import")
@click.argument("source", type=path_type)
@_encoder
@_out
@click.option(
    "--ddof",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    help="What the covariance was divided with: n - ddof.",
)
@click.option("--count", type=click.IntRange(2), help="How many videos, where the file does not say.")
@weights
@normalize
def reference_import(source: Path, **o: Any) -> int:
    """Another tool's statistics, npz or a pickle of arrays; that they are of --encoder is your word."""
    from evals.compare.reference import take_over
    from evals.encoders import resolve

    spec = resolve(o["encoder"], {k: Path(v) for k, v in o["weights"].items()}).spec
    made = take_over(source, o["encoder"], spec, str(view_of(o)), o["ddof"], o["count"])
    made.save(o["out"])
    click.echo(f"{o['out']}: {made.total.n} videos, d = {made.total.mean.size}, {made.encoder}, {made.view}")
    return 0


@click.group(name="weights")
def weight_files() -> None:
    """Published weight files: `list`, `fetch`, `verify`. Nothing else ever downloads them."""


@weight_files.command(name="list")
def weights_list() -> int:
    """Every file: whether it is here, size, licence, what it is for."""
    from evals.weights import WEIGHTS, folder

    for name, one in WEIGHTS.items():
        here = "here" if one.path.exists() else "not here"
        click.echo(f"{name:12s} {here:9s} {one.megabytes}{one.licence}; {one.use}")
        click.echo(f"{'':12s} {one.file}, sha256 {one.sha256}")
    click.echo(f"folder: {folder()}")
    return 0


@weight_files.command(name="fetch")
@click.argument("names", nargs=-1, required=True)
def weights_fetch(names: tuple[str, ...]) -> int:
    """Download NAMES into the folder; goes on where an earlier try stopped."""
    from evals.weights import entry, fetch

    for name in [entry(name).name for name in names]:
        shown = [-1]

        def say(done: int, size: int, name: str = name, shown: list[int] = shown) -> None:
            if sys.stderr.isatty() and done * 100 // size != shown[0]:
                shown[0] = done * 100 // size
                click.echo(f"\r{name}: {shown[0]} %", err=True, nl=False)

        path = fetch(name, say)
        if sys.stderr.isatty():
            click.echo("", err=True)
        click.echo(f"{name}: {path}")
    return 0


@weight_files.command(name="verify")
@click.argument("names", nargs=-1)
def weights_verify(names: tuple[str, ...]) -> int:
    """Check the files that are here (or NAMES) against their SHA-256."""
    from evals.weights import WEIGHTS, entry, locate

    wrong = False
    for name in [entry(n).name for n in names] or [n for n, w in WEIGHTS.items() if w.path.exists()]:
        try:
            click.echo(f"{name}: {locate(name)} is what it must be")
        except WeightsError as error:
            wrong = True
            click.echo(f"error: {error}", err=True)
    return 2 if wrong else 0


STATISTICS = (
    "fvd", "fvd_unbiased", "kvd", "jedi", "mmd2", "precision", "recall", "density", "coverage", "memorised",
)  # fmt: skip


@click.command()
@click.argument("generated", type=path_type)
@click.argument("real", type=path_type)
@click.option(
    "--statistic",
    "names",
    multiple=True,
    type=click.Choice(STATISTICS),
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
def distance(generated: Path, real: Path, names: tuple[str, ...], ddof: int, as_json: bool) -> int:
    """Distances between two arrays of features of your own, GENERATED and REAL: .npy files (n, d).

    `jedi` is for features of V-JEPA 1 with its probe, `mmd2` the same formula on any others.
    """
    from evals.arrays import measure, read

    found = measure(read(generated), read(real), names, ddof)
    if as_json:
        click.echo(json.dumps(found))
        return 0
    for one in found["statistics"]:
        bounds = "" if one["low"] is None else f"  [{one['low']:.6g}, {one['high']:.6g}]"
        click.echo(f"{one['name']:14s} {one['value']:.8g}{bounds}")
    click.echo(f"n = {found['n']} generated, {found['n_real']} real, d = {found['d']}", err=True)
    for warning in found["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    return 0


@click.command()
@click.argument("folders", nargs=-1, required=True, type=path_type)
@choosing
@click.option(
    "--clips",
    "most",
    default=24,
    show_default=True,
    type=click.IntRange(1),
    help="Videos of each folder, by name.",
)
@click.option("--only", multiple=True, metavar="DEGRADATION", help="Only this degradation; repeatable.")
@click.option("--claims", type=path_type, help="Another file of claims and strengths.")
@click.option(
    "--out",
    type=path_type,
    default=Path("reports/validate"),
    show_default=True,
    help="Where the degraded clips, their run and the table go; resumes there.",
)
@common
def validate(folders: tuple[Path, ...], **o: Any) -> int:
    """What each metric sees and what it doesn't, on the videos of FOLDERS made worse step by step.

    Exits with 1 where a metric does not see what it claims to.
    """
    from evals import ladder
    from evals.journal import write_atomically
    from evals.progress import Bar

    resources, metrics = resources_of(o), metrics_of(o)
    claims = ladder.load_claims(*([o["claims"]] if o["claims"] else []))
    with Bar(o["quiet"]) as bar:
        found = ladder.validate(folders, metrics, claims, o["only"], o["most"], o["out"], resources, bar)
    table, data = ladder.as_table(found, claims), json.dumps(ladder.as_json(found), indent=1)
    write_atomically(o["out"] / "table.md", table.encode())
    write_atomically(o["out"] / "verdicts.json", data.encode())
    click.echo(data if o["as_json"] else table)
    failed = [f"{m} on {d}" for (m, d), v in found.items() if v.holds is False]
    for one in failed:
        click.echo(f"claimed and not seen: {one}", err=True)
    return 1 if failed else 0

"""`validate`: what each metric detects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evals.cli.options import PATH, Choosing, Common, choosing, common
from evals.cli.output import say, tell


@click.command(name="validate")
@click.argument("folders", nargs=-1, required=True, type=PATH)
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
@click.option("--claims", type=PATH, help="Another file of claims and strengths.")
@click.option(
    "--out",
    type=PATH,
    default=Path("reports/validate"),
    show_default=True,
    help="Where the degraded clips, their run and the table go; resumes there.",
)
@common
def command(folders: tuple[Path, ...], choosing: Choosing, common: Common, **o: Any) -> int:  # fmt: skip
    """What each metric detects and what it doesn't, on the videos of FOLDERS made worse step by step.

    Exits with 1 where a metric does not detect what it claims to.
    """
    from evals import validate
    from evals.cli.progress import Bar
    from evals.runs.journal import write_atomically

    common.start()
    chosen = choosing.chosen()
    claims = validate.load_claims(*([o["claims"]] if o["claims"] else []))
    with common.resources() as resources, Bar(common.quiet) as bar:
        found = validate.validate_metrics(
            folders, chosen, claims, o["only"], o["most"], o["out"], resources, bar
        )
    table, data = validate.as_table(found, claims), json.dumps(validate.as_json(found), indent=1)
    write_atomically(o["out"] / "table.md", table.encode())
    write_atomically(o["out"] / "detections.json", data.encode())
    tell(data if common.as_json else table)
    failed = [f"{metric} on {degradation}" for (metric, degradation), d in found.items() if d.holds is False]
    for one in failed:
        say(f"claimed and not detected: {one}")
    return 1 if failed else 0

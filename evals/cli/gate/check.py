"""`gate check`: one verdict of a candidate, as a table, JSON, JUnit XML and Markdown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli.gate.options import Making, fidelity, ids, making, written
from evals.cli.options import PATH, Common, allow_outside, common, weights
from evals.cli.output import say, table_width, tell_json, tell_table
from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.gate.opening import Opened


@click.command(name="check")
@click.argument("baseline", type=PATH)
@click.argument("candidate", type=PATH)
@click.option(
    "--require",
    type=click.Choice(["auto", "both", "quality", "fidelity"]),
    default="auto",
    show_default=True,
    help="What decides; auto: fidelity too, where the baseline is calibrated.",
)
@click.option(
    "--under-test",
    multiple=True,
    metavar="KEY",
    help="Part of the platform that is meant to differ, such as torch; repeatable.",
)
@click.option("--reference", type=PATH, help="Run or file that distribution metrics are measured to.")
@click.option(
    "--look", type=click.IntRange(1, 3), help="Use 1, 2 or 4 seeds (look 1, 2, 3), at a third of the level."
)
@click.option("--checkpoint", type=click.IntRange(1),
              help="Which check against this baseline it is; later ones are stricter.")  # fmt: skip
@click.option("--out", type=PATH, help="Folder for gate.json, gate.md, junit.xml and worst.png.")
@click.option("--junit", type=PATH, help="Where to write JUnit XML.")
@click.option("--markdown", type=PATH, help="Where to write Markdown for a comment.")
@click.option("--sheet", type=PATH, help="Where to write the contact sheet of the worst samples.")
@fidelity
@making
@allow_outside
@weights
@common
def command(baseline: Path, candidate: Path, making: Making, common: Common, **o: Any) -> int:
    """Is CANDIDATE no worse than BASELINE, and are its videos the same?

    BASELINE is a file of `gate baseline`, which has its margins, or a run: then --tier, --margin and
    --primary choose them. Exit codes: 0 pass, 1 regression, 3 inconclusive or not comparable, 2 error."""
    from evals.cli.progress import Bar
    from evals.compare.runs import open_reference
    from evals.gate.check import Options, check
    from evals.gate.opening import fidelity_metrics, open_baseline, scored_candidate
    from evals.report import gate_files
    from evals.runs.folder import RunFolder

    common.start()
    choice = making.choice()
    opened = open_baseline(baseline, choice, o["allow_outside"])
    for remark in opened.remarks:
        say(f"warning: {remark}")
    options = Options(
        o["require"], o["under_test"], making.platform, o["look"], o["checkpoint"]
    )  # fmt: skip
    _known(o["under_test"], opened)
    with common.resources() as resources, Bar(common.quiet) as bar:
        scored = scored_candidate(
            candidate, opened.baseline, o["weights"], resources, bar, o["allow_outside"]
        )
        wanted = o["require"] != "quality" and bool(opened.clips)
        pairs = fidelity_metrics(opened.baseline, ids(o["fidelity"]), o["weights"]) if wanted else None
        reference = open_reference(o["reference"], opened.baseline.normalization, o["allow_outside"])
        result = check(
            opened.baseline, opened.place, scored, pairs, options, reference, resources, bar, opened.clips
        )
    run = RunFolder(candidate, o["allow_outside"])
    if o["out"] is not None:
        gate_files.write_all(result, opened.clips, run, o["out"])
        say(written(o["out"]))
    chosen = {kind: o[kind] for kind in ("junit", "markdown", "sheet") if o[kind] is not None}
    for path in gate_files.write_some(result, opened.clips, run, **chosen):
        say(written(path))
    if common.as_json:
        tell_json(result.to_json())
    else:
        from evals.report import gate_table

        tell_table(gate_table.render(result, table_width(), sys.stdout.isatty()))
    return result.exit_code


def _known(keys: tuple[str, ...], opened: Opened) -> None:
    """Raises `UsageError` for a part of the platform that there is not."""
    from evals.errors import nearest
    from evals.gate.platform import ENGINES, FLAGS, HARDWARE

    known = {*opened.baseline.platform, *ENGINES, *FLAGS, *HARDWARE.values(), "processor"}
    for key in keys:
        if key not in known:
            raise UsageError(f"--under-test {key}: is no part of a platform{nearest(key, known)}")

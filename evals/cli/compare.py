"""`compare`: runs against each other and against a reference, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli.folders import is_clips, runs_of
from evals.cli.judging import Judging, judging
from evals.cli.options import (
    PATH,
    Common,
    Normalizing,
    allow_outside,
    common,
    force,
    normalizing,
    open_page,
    weights,
)
from evals.cli.output import say, tell, tell_json
from evals.cli.paging import Paging, paging
from evals.cli.results import print_comparison
from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.decoding.resources import Resources
    from evals.gate.records import Calibration
    from evals.records import Normalization

NOT_COMPARABLE = 3
EXPORTS = ("parquet", "latex", "every-eval-ever", "hugging-face")


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option(
    "--reference",
    type=PATH,
    help="Run, folder of clips or file of statistics to measure distribution metrics against.",
)
@click.option(
    "--match",
    type=click.Choice(["none", "category", "prompt"]),
    default="none",
    help="Measure distances on content that both sides have.",
)
@click.option(
    "--out", type=PATH, default=Path("reports/comparison"), show_default=True, help="Report folder."
)
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(EXPORTS),
    help="Also write the results in this format, into exports/ of the report; repeatable.",
)
@click.option("--explain", is_flag=True, help="First say what differs between the recipes of the runs.")
@click.option(
    "--gate", type=PATH, metavar="BASELINE", help="Also show the calibration in this gate's baseline file."
)
@click.option("--vbench", is_flag=True, help="Print VBench's dimensions instead of the table.")
@click.option("--submission", type=PATH, help="With --vbench: write VBench's result files of one run there.")
@click.option(
    "--controls", is_flag=True, help="Also show which metrics rank made-worse copies of the clips right."
)
@click.option("--suite", default="quick", show_default=True, help="What folders of clips are scored with.")
@paging("48")
@judging
@allow_outside
@force
@open_page
@weights
@normalizing
@common
def command(
    runs: tuple[Path, ...],
    judging: Judging,
    normalizing: Normalizing,
    paging: Paging,
    common: Common,
    **o: Any,
) -> int:
    """Compare RUNS, or folders of clips: which is better at what, by how much, how sure, and a report."""
    from evals.cli.progress import Bar
    from evals.compare.runs import compare_runs
    from evals.report import check_place, write_report
    from evals.report.exports import check, export
    from evals.report.recipe import explained

    if o["submission"] and not o["vbench"]:
        raise UsageError("--submission needs --vbench")
    common.start()
    check(o["exports"])
    calibrations = _calibrations(o["gate"])
    check_place(o["out"], o["force"])
    normalization = normalizing.normalization() if normalizing.normalize else None
    with common.resources() as resources:
        scored = _scored(runs, o, normalization, common, resources)
        of_clips = o["reference"] is not None and is_clips(o["reference"])
        used = o["weights"] if of_clips or scored == list(runs) else {}
        found = compare_runs(
            scored, normalization, o["reference"], o["out"], used, resources, o["match"],
            o["allow_outside"], judging.rules(runs, scored),
        )  # fmt: skip
        if o["controls"]:
            found = _with_controls(found, o["out"], o["weights"], common, resources)
        terms = _in_vbench_terms(found, o["out"], o["submission"]) if o["vbench"] else None
        if o["explain"] and not common.as_json:
            tell("\n".join([*explained(found), ""]))
        with Bar(common.quiet) as bar:
            pool = resources.pool if paging.videos != 0 else None
            page = write_report(found, o["out"], pool, paging.options(), o["force"], bar, calibrations)
    written = [path for name in o["exports"] for path in export(found, name, o["out"] / "exports")]
    if common.as_json:
        tell_json(found.to_json())
    else:
        if normalization is None and found.normalization != "native":
            message = f"videos scored: {found.normalization}, the only normalization that all runs have"
            say(message)
        print_comparison(found, page, terms)
        for path in written:
            tell(f"wrote {path}")
        if paging.single_file:
            say(f"{page}: {page.stat().st_size / 1e6:.1f} MB")
    if o["open_page"]:
        click.launch(str(page))
    nothing = bool(found.pairs) and not any(pair.n_pairs for pair in found.pairs)
    return NOT_COMPARABLE if nothing else 0


def _calibrations(baseline: Path | None) -> Sequence[Calibration]:
    """What the gate's baseline file measured."""
    if baseline is None:
        return ()
    from evals.gate import baseline as files

    return files.read(baseline).calibrations


def _with_controls(
    found: Comparison, out: Path, weights: dict[str, Path], common: Common, resources: Resources
) -> Comparison:
    """The comparison with controls made of its baseline, or of its first run."""
    from dataclasses import replace

    from evals.cli.progress import Bar
    from evals.validate.controls import controls

    run = next((run for run in found.sources if run.label == found.baseline), found.sources[0])
    say(f"controls are made of {run.label}'s clips")
    with Bar(common.quiet) as bar:
        return replace(found, controls=tuple(controls(run, out / "controls", weights, resources, bar)))


def _scored(
    paths: tuple[Path, ...],
    o: dict[str, Any],
    normalization: Normalization | None,
    common: Common,
    resources: Resources,
) -> list[Path]:
    """The runs; of folders of clips, runs within the report that are scored with the suite."""
    if not any(is_clips(path) for path in paths):
        return list(paths)
    from evals.cli.progress import Bar
    from evals.metrics import suites
    from evals.scoring import prepare, score_run

    chosen = prepare(suites.load(o["suite"]).metrics, o["weights"])
    with Bar(common.quiet) as bar:
        opened = runs_of(paths, o["out"] / "runs", o["allow_outside"], resources, bar)
        for path, run in zip(paths, opened, strict=True):
            if is_clips(path):
                score_run(run, chosen, normalization, resources, progress=bar)
    return [run.path for run in opened]


def _in_vbench_terms(found: Comparison, out: Path, submission: Path | None) -> str:
    """VBench's dimensions as text, and as `vbench.csv` in `out`; with `submission` its result files of the
    one run, there. Raises `UsageError` where they would not be a VBench score."""
    from evals.compare import vbench

    dimensions = vbench.dimensions(found.sources)
    out.mkdir(parents=True, exist_ok=True)
    vbench.table(dimensions).to_csv(out / "vbench.csv", index=False)
    text = vbench.as_text(dimensions)
    if submission is not None:
        if len(found.sources) != 1:
            raise UsageError("--submission takes one run: every model has a submission of its own")
        written = vbench.write_submission(found.sources[0], submission)
        text += "\n" + "\n".join(f"wrote {path}" for path in written)
    return text

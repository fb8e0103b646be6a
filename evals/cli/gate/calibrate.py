"""`gate calibrate`: thresholds from repeats of one model and known-bad videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli import values
from evals.cli.gate.options import fidelity, ids, platform, written
from evals.cli.options import PATH, Common, allow_outside, common, weights
from evals.cli.output import say, tell, tell_json
from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.gate.records import Baseline, Calibration


@click.command(name="calibrate")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--baseline", type=PATH, help="Baseline file that the calibration is put into.")
@click.option("--bad", multiple=True, callback=values.paths, metavar="NAME=RUN",
              help="Known-bad run of your own, beside the bad videos that are made; repeatable.")  # fmt: skip
@click.option("--work", type=PATH, help="Where known-bad videos are kept (default: beside the first run).")
@click.option("--most", type=click.IntRange(2), default=40, show_default=True,
              help="Number of prompts that known-bad videos are made from.")  # fmt: skip
@click.option("--out", type=PATH, help="Also write the calibration as JSON there.")
@fidelity
@platform
@allow_outside
@weights
@common
def command(runs: tuple[Path, ...], common: Common, **o: Any) -> int:
    """Measure fidelity thresholds from repeats: RUNS of one unchanged model.

    Known-bad videos are made of the first run's clips. Without --baseline the result is only printed."""
    from evals.cli.progress import Bar
    from evals.compare import load_runs
    from evals.gate import baseline as files
    from evals.gate.calibrate import calibrate, unlike
    from evals.gate.opening import FIDELITY, fidelity_metrics
    from evals.gate.platform import platform_of
    from evals.gate.records import differing
    from evals.records import Normalization
    from evals.runs.folder import RunFolder
    from evals.scoring import prepare

    common.start()
    known = files.read(o["baseline"]) if o["baseline"] else None
    opened = [RunFolder(path, o["allow_outside"]) for path in runs]
    normalization = Normalization.parse(known.normalization) if known else None
    scored = load_runs(list(runs), normalization, o["allow_outside"])
    for remark in unlike(opened):
        say(f"warning: {remark}")
    asked = ids(o["fidelity"])
    if known is not None:
        chosen = fidelity_metrics(known.model_copy(update={"calibrations": ()}), asked, o["weights"])
    else:
        chosen = prepare(asked or FIDELITY, o["weights"])
    against, order = None, scored
    if known is not None and differing(known.platform, platform_of(opened[0].info, o["platform"])):
        against = files.clips_of(known, o["baseline"])
        if not against:
            raise UsageError(
                f"{o['baseline']}: is of another platform and has no clips to measure repeats against; make"
                " it with --clips"
            )
        order = [files.as_scores(known), *scored]
    quality = _shared(known, scored)
    work = o["work"] or runs[0].parent / f"{runs[0].name}-known-bad"
    with common.resources() as resources, Bar(common.quiet) as bar:
        found = calibrate(
            opened, order, chosen, work, {n: RunFolder(p, o["allow_outside"]) for n, p in o["bad"].items()},
            quality, resources, bar, o["platform"], o["most"], against,
        )  # fmt: skip
    if known is not None:
        _put(known, found, o["baseline"])
    if o["out"]:
        from evals.runs.journal import write_atomically

        o["out"].parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1)
        write_atomically(o["out"], text.encode())
        say(written(o["out"]))
    if common.as_json:
        tell_json(found.model_dump(mode="json"))
    else:
        from evals.report.gate_plan import calibration

        tell(calibration(found))
        if known is not None:
            tell(f"put into {o['baseline']}")
        else:
            say("to use it, give --baseline FILE")
    return 0


def _shared(known: Baseline | None, scored: list[Any]) -> list[str]:
    """The metrics scored by samples whose repeats are kept: those that decide, where every run has them."""
    first = scored[0].metrics
    if known is None:
        return [n for n in first if first[n].kind == "video" and all(n in run.metrics for run in scored)]
    wanted = [n for n in known.primary if n in known.metrics and known.metrics[n].kind == "video"]
    for run in scored:
        if lacking := [name for name in wanted if name not in run.metrics]:
            raise UsageError(
                f"{run.label}: was not scored with {', '.join(lacking)}, which decide in the baseline;"
                " score it with the same metrics first"
            )
    return wanted


def _put(known: Baseline, found: Calibration, path: Path) -> None:
    """The calibration in the baseline's file, in place of one of the same platform."""
    from evals.gate import baseline as files
    from evals.gate.records import differing

    others = tuple(c for c in known.calibrations if differing(c.platform, found.platform))
    files.write(known.model_copy(update={"calibrations": (*others, found)}), path)

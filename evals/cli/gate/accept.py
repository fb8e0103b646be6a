"""`gate accept`: an intended change becomes the new baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.cli.gate.options import platform, written
from evals.cli.options import PATH, Common, allow_outside, common, weights
from evals.cli.output import tell, tell_json


@click.command(name="accept")
@click.argument("baseline", type=PATH)
@click.argument("candidate", type=PATH)
@click.option("--because", required=True, help="Why the change is meant; stays in the baseline's history.")
@click.option("--out", type=PATH, help="Write the new baseline there (default: over the old one).")
@platform
@allow_outside
@weights
@common
def command(baseline: Path, candidate: Path, common: Common, **o: Any) -> int:
    """Make CANDIDATE the new baseline; the reason stays in the file."""
    from evals.cli.progress import Bar
    from evals.gate import baseline as files
    from evals.gate.accept import accept
    from evals.gate.opening import scored_candidate

    common.start()
    known = files.read(baseline)
    with common.resources() as resources, Bar(common.quiet) as bar:
        scored = scored_candidate(candidate, known, o["weights"], resources, bar, o["allow_outside"])
    made = accept(known, scored, o["because"], o["platform"])
    out = o["out"] or baseline
    if known.clips:
        assert scored.folder is not None
        made = files.keep_clips(made, scored.folder, out)
    files.write(made, out)
    shift = made.shifts[-1]
    if common.as_json:
        tell_json({"baseline": str(out), "shift": shift.model_dump(mode="json")})
        return 0
    tell(f"accepted: {shift.because}")
    for name, difference in shift.differences.items():
        if difference:
            tell(f"  {name}: {difference:+.3g}")
    tell(written(out))
    return 0

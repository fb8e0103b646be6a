"""`gate baseline`: a run as one small file that candidates are checked against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.cli.gate.options import Making, making, written
from evals.cli.options import PATH, Common, Normalizing, allow_outside, common, normalizing
from evals.cli.output import say, tell, tell_json


@click.command(name="baseline")
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, required=True, help="The file, such as reports/baselines/NAME.json.")
@click.option("--name", help="What the baseline is called (default: the file's name).")
@click.option("--clips", is_flag=True, help="Keep its clips beside the file, for fidelity.")
@making
@allow_outside
@normalizing
@common
def command(run: Path, out: Path, making: Making, normalizing: Normalizing, common: Common, **o: Any) -> int:
    """Make a baseline of RUN: scores, margins and platform in one file."""
    from evals.compare import load_runs
    from evals.gate import baseline as files
    from evals.gate.opening import make

    common.start()
    normalization = normalizing.normalization() if normalizing.normalize else None
    scored = load_runs([run], normalization, o["allow_outside"])[0]
    made, remarks = make(scored, o["name"] or out.stem, making.choice())
    if o["clips"]:
        assert scored.folder is not None
        made = files.keep_clips(made, scored.folder, out)
    files.write(made, out)
    for remark in remarks:
        say(f"warning: {remark}")
    prompts, seeds = files.design(made)
    if common.as_json:
        margins = {"margins": made.margins, "tier": made.tier, "platform": made.platform}
        tell_json({"baseline": str(out), "prompts": prompts, "seeds": seeds, **margins})
        return 0
    tell(f"{prompts} prompts × {seeds} seeds, {len(made.primary)} primary metrics:")
    for name in made.primary:
        margin = made.margins.get(name)
        shown = f"may lose up to {margin:.3g}" if margin else "has no margin: its prompts don't differ"
        tell(f"  {name}: {shown}")
    tell("platform: " + ", ".join(f"{key} {value}" for key, value in made.platform.items()))
    tell(written(out) + (f", its clips in {out.with_suffix('.clips')}" if o["clips"] else ""))
    return 0

"""`gate plan`: how small the gate may be, and what it would find."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import PATH, Common, common
from evals.cli.output import tell, tell_json


@click.command(name="plan")
@click.argument("baseline", type=PATH)
@common
def command(baseline: Path, common: Common) -> int:
    """What a gate on BASELINE finds with 12 to 200 prompts, and how short its clips may be."""
    from evals.gate import baseline as files
    from evals.gate.plan import plan
    from evals.report.gate_plan import plan_text

    common.start()
    found = plan(files.read(baseline))
    if common.as_json:
        tell_json(found.to_json())
    else:
        tell(plan_text(found))
    return 0

"""`gate history`: how long the status quo holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli.gate.options import Making, making
from evals.cli.options import PATH, Common, Normalizing, allow_outside, common, normalizing
from evals.cli.output import say, tell, tell_json

NOT_DECIDED = 3

if TYPE_CHECKING:
    from evals.compare import RunScores
    from evals.gate.opening import Choice
    from evals.gate.records import Baseline


@click.command(name="history")
@click.argument("places", nargs=-1, required=True, type=PATH)
@click.option("--baseline", type=PATH, help="Baseline file (default: made of the oldest run).")
@click.option("--order", type=click.Choice(["date", "given"]), default="date", show_default=True,
              help="By when the videos were made, or as given.")  # fmt: skip
@click.option("--leaderboard", is_flag=True, help="Who is the best at what, and since when.")
@click.option("--out", type=PATH, help="Folder for the page, figures, CSV and JSON.")
@making
@allow_outside
@normalizing
@common
def command(
    places: tuple[Path, ...], making: Making, normalizing: Normalizing, common: Common, **o: Any
) -> int:
    """Runs of one model over time (or models by date) in PLACES: trends, changes, alarms."""
    from evals.compare import load_runs
    from evals.gate import baseline as files
    from evals.gate import history as gate
    from evals.records import Normalization
    from evals.report import gate_history

    common.start()
    known = files.read(o["baseline"]) if o["baseline"] else None
    normalization = normalizing.normalization() if normalizing.normalize else None
    if known is not None:
        normalization = Normalization.parse(known.normalization)
    runs = load_runs(gate.runs_in(places), normalization, o["allow_outside"])
    runs = gate.by_date(runs) if o["order"] == "date" else runs
    if o["leaderboard"]:
        holders = gate.leaderboard(runs)
        if common.as_json:
            tell_json([one.model_dump(mode="json") for one in holders])
        else:
            tell(gate_history.board(holders))
        return 0
    baseline, runs = _baseline(known, runs, making.choice())
    found = gate.history(baseline, runs[0], runs[1:])
    if o["out"]:
        page = gate_history.write(found, o["out"])
        say(f"wrote {page}")
    if common.as_json:
        tell_json(found.to_json())
    else:
        tell(gate_history.text(found))
    if found.alarms:
        return 1
    decided = any(point.verdict == "pass" for point in found.points)
    return 0 if decided or len(found.points) < 2 else NOT_DECIDED


def _baseline(
    known: Baseline | None, runs: list[RunScores], choice: Choice
) -> tuple[Baseline, list[RunScores]]:
    """The baseline, and the runs with the one that it was made of first."""
    from dataclasses import replace

    from evals.gate import baseline as files
    from evals.gate.margins import smallest_usual, tier_of
    from evals.gate.opening import make

    if known is not None:
        first = replace(files.as_scores(known), label=f"{known.name} (baseline)")
        later = [run for run in runs if run.folder is None or run.folder.info.id != known.run_id]
        return known, [first, *later]
    if not (choice.tier or any("=" not in text for text in choice.margins)):
        prompts, seeds = files.design(files.of_run(runs[0], "", (), {}))
        if not tier_of(prompts, seeds):
            margin = f"{smallest_usual(max(2, prompts), max(1, seeds)) * 1.01:.2f}sd"
            say(f"{prompts} prompts × {seeds} seeds reaches no tier: margins are {margin}")
            choice = replace(choice, margins=(margin, *choice.margins))
    made, remarks = make(runs[0], runs[0].label, choice)
    for remark in remarks:
        say(f"warning: {remark}")
    return made, runs

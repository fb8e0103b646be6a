"""How every command prints what it found: the table of values, a sentence per run, then warnings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.cli.output import say, table_width, tell, tell_json, tell_table

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.runs.segments import Shard

SOME_FAILED = 4


def print_comparison(
    found: Comparison,
    page: Path | None = None,
    terms: str | None = None,
    named: bool = False,
    said: Sequence[str] | None = None,
) -> None:
    """The table, or another suite's terms instead of it; then what it says (or what is `said` of it), the
    metrics left out where they are to be `named`, the warnings, the page's place."""
    from evals.report import terminal
    from evals.report.tables import unmeasured
    from evals.report.words import answer, best_by_aspect, distances, sentences

    if terms:
        tell(terms)
    elif text := terminal.table(found, table_width(), sys.stdout.isatty()):
        tell_table(text)
        if said is None:
            lines = (answer(found), best_by_aspect(found), *sentences(found), *distances(found))
            said = [line for line in lines if line]
        if said:
            tell("\n" + "\n".join(said))
    if table := terminal.controls_table(found, table_width(), sys.stdout.isatty()):
        tell_table("\n" + table)
    if found.left_out and (named or not found.means):
        tell(f"left out, as they don't suit these videos or prompts: {', '.join(found.left_out)}")
    warnings = terminal.warnings(found)
    if warnings:
        say(f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}:")
    for warning in warnings:
        say(f"- {warning}")
    if hint := unmeasured(found):
        say(hint)
    if page is not None:
        tell(f"report: {page}")


def print_runs(
    paths: Sequence[Path], normalization: str | None, as_json: bool, shard: Shard | None = None
) -> int:
    """The state of runs and the table of their values, at the end of a command; gives the exit code, of what
    the `shard` is to do."""
    from evals.runs.overview import describe

    facts = [describe(path, normalization, shard) for path in paths]
    found = values_of(paths, normalization)
    if as_json:
        documents = [{**one, **_values(found, i)} for i, one in enumerate(facts)]
        tell_json(documents[0] if len(documents) == 1 else {"runs": documents})
    else:
        for one in facts:
            tell(short(one))
        if found is not None:
            print_comparison(found)
    return SOME_FAILED if any(one["failed"] for one in facts) else 0


def values_of(paths: Sequence[Path], normalization: str | None = None) -> Comparison | None:
    """The values of runs side by side; None where none has scores."""
    from evals.compare import compare_scores, load_runs
    from evals.errors import UsageError
    from evals.records import Normalization

    try:
        given = Normalization.parse(normalization) if normalization else None
        runs = load_runs(list(dict.fromkeys(paths)), given)
    except UsageError:  # they have no normalization in common, so there is no table of them
        return None
    if not any(run.metrics for run in runs):
        return None
    return compare_scores(runs)


def _values(found: Comparison | None, place: int) -> dict[str, Any]:
    """A run's part of a comparison, for JSON."""
    if found is None:
        return {}
    data, label = found.to_json(), found.labels[place]
    mine = [mean for mean in data["means"] if mean["run"] == label]
    return {"metrics": data["metrics"], "means": mine, "warnings": data["warnings"]}


def short(facts: dict[str, Any]) -> str:
    """A run's state in a few lines."""
    samples = facts["samples"]
    rest = ", ".join(f"{n} {k}" for k, n in samples.items() if k not in ("planned", "ok") and n)
    text = f"{facts['run']}: {samples.get('ok', 0)} of {samples['planned']} samples ok" + (
        f", {rest}" if rest else ""
    )
    for normalization, metrics in facts["scores"].items():
        suited = {name: counts for name, counts in metrics.items() if set(counts) != {"skipped"}} or metrics
        text += f"; {len(suited)} metrics ({normalization})"
        skipped = sum(counts.get("skipped", 0) for counts in suited.values())
        if skipped:
            every = sum(sum(counts.values()) for counts in suited.values())
            why = next(
                p["message"] for p in facts["problems"] if p["status"] == "skipped" and p["what"] in suited
            )
            text += f"\n{skipped} of {every} scores skipped ({normalization}), mostly because: {why}"
    if facts["failed"]:
        text += f"\n{facts['failed']} samples or scores failed; see: t2v-evals show {facts['run']}"
    return text

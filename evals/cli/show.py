"""`show`: what is in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.cli.options import PATH
from evals.cli.output import tell, tell_json
from evals.cli.results import print_comparison, values_of


@click.command(name="show")
@click.argument("run_path", metavar="RUN", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(run_path: Path, as_json: bool) -> int:
    """What is in RUN: its values, what is missing, what failed and why."""
    from evals.runs.overview import describe

    facts = describe(run_path)
    if as_json:
        tell_json({**facts, **values_as_json(run_path, facts)}, indent=1)
        return 0
    tell(as_text(facts))
    for normalization in facts["scores"]:
        if (found := values_of([run_path], normalization)) is not None:
            tell(f"values     {normalization}")
            print_comparison(found, named=True)
    return 0


def values_as_json(run_path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Means by normalization."""
    found = {name: values_of([run_path], name) for name in facts["scores"]}
    return {"means": {name: one.to_json()["means"] for name, one in found.items() if one is not None}}


def as_text(facts: dict[str, Any]) -> str:
    """A run's state for people."""
    samples = ", ".join(f"{n} {k}" for k, n in facts["samples"].items())
    lines = [
        f"run        {facts['run']}",
        f"generator  {facts['generator']}",
        f"status     {facts['status']}",
        f"prompts    {facts['prompts']}",
        f"samples    {samples}",
    ]
    for normalization, metrics in facts["scores"].items():
        lines.append(f"scores     {normalization}")
        for name, counts in metrics.items():
            lines.append(f"  {name:44s} " + ", ".join(f"{n} {k}" for k, n in sorted(counts.items())))
    if shards := facts.get("unfinished_shards"):
        lines.append(f"not finished: shard {', '.join(shards)}")
    if facts["distribution_metrics"]:
        names = ", ".join(facts["distribution_metrics"])
        lines.append(f"against a reference (compare --reference): {names}")
    unsuited = {
        name for metrics in facts["scores"].values() for name, counts in metrics.items()
        if set(counts) == {"skipped"}
    }  # fmt: skip
    problems = [p for p in facts["problems"] if p["what"] not in unsuited]
    if problems:
        lines.append("what is not ok, and why")
        lines += [f"  {p['count']:5d} × {p['what']} {p['status']}: {p['message']}" for p in problems]
    return "\n".join(lines)

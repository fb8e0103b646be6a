"""`show`: what is in a run. Also how every command prints the state of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.cli.options import PATH
from evals.cli.output import tell, tell_json

SOME_FAILED = 4


@click.command(name="show")
@click.argument("run_path", metavar="RUN", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(run_path: Path, as_json: bool) -> int:
    """What is in RUN, what is missing, what failed and why."""
    from evals.runs.overview import describe

    facts = describe(run_path)
    if as_json:
        tell_json(facts, indent=1)
    else:
        tell(as_text(facts))
    return 0


def print_run(path: Path, normalization: str | None, as_json: bool) -> int:
    """A run's state at the end of a command; gives the exit code."""
    from evals.runs.overview import describe

    facts = describe(path, normalization)
    if as_json:
        tell_json(facts)
    else:
        tell(_short(facts))
    return SOME_FAILED if facts["failed"] else 0


def _short(facts: dict[str, Any]) -> str:
    """A run's state in a few lines."""
    samples = facts["samples"]
    rest = ", ".join(f"{n} {k}" for k, n in samples.items() if k not in ("planned", "ok") and n)
    text = f"{facts['run']}: {samples.get('ok', 0)} of {samples['planned']} samples ok" + (
        f", {rest}" if rest else ""
    )
    for normalization, metrics in facts["scores"].items():
        text += f"; {len(metrics)} metrics ({normalization})"
        skipped = sum(counts.get("skipped", 0) for counts in metrics.values())
        if skipped:
            every = sum(sum(counts.values()) for counts in metrics.values())
            why = next(p["message"] for p in facts["problems"] if p["status"] == "skipped")
            text += f"\n{skipped} of {every} scores skipped ({normalization}), mostly because: {why}"
    if facts["failed"]:
        text += f"\n{facts['failed']} samples or scores failed; see: t2v-evals show {facts['run']}"
    return text


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
    if facts["distribution_metrics"]:
        names = ", ".join(facts["distribution_metrics"])
        lines.append(f"against a reference (compare --reference): {names}")
    if facts["problems"]:
        lines.append("what is not ok, and why")
        lines += [f"  {p['count']:5d} × {p['what']} {p['status']}: {p['message']}" for p in facts["problems"]]
    return "\n".join(lines)

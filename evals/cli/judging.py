"""Options that say how differences are decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from evals.cli import values
from evals.cli.options import PATH, group, metric_list
from evals.errors import UsageError, nearest

if TYPE_CHECKING:
    from evals.compare import Rules
    from evals.records import Aspect


@dataclass(frozen=True)
class Judging:
    """How differences are decided."""

    baseline: Path | None
    family: Literal["pair", "report"]
    compared: str | None
    primary: str | None
    margins: dict[str, str]
    aspect_weights: str | None

    def rules(self, given: Sequence[Path], runs: Sequence[Path]) -> Rules:
        """The rules, for runs that stand for the paths given. Raises `UsageError`."""
        from evals.compare import Rules
        from evals.compare.run_scores import labels_of

        baseline = None
        if self.baseline is not None:
            labels = labels_of(runs)
            known = {path.resolve(): label for path, label in zip(given, labels, strict=True)}
            baseline = known.get(self.baseline.resolve(), str(self.baseline))
        return Rules(
            baseline=baseline,
            family=self.family,
            metrics=metric_list(self.compared),
            primary=metric_list(self.primary),
            margins={name: _number(f"--margin {name}", value) for name, value in self.margins.items()},
            weights=self._weights(),
        )

    def _weights(self) -> dict[Aspect, float]:
        from evals.compare.standings import JUDGED

        found: dict[Aspect, float] = {}
        for part in (self.aspect_weights or "").split(","):
            name, equals, value = part.strip().partition("=")
            if not part.strip():
                continue
            aspect = next((known for known in JUDGED if known == name), None)
            if aspect is None or not equals:
                raise UsageError(
                    f"--aspect-weights {part.strip()}: write ASPECT=WEIGHT{nearest(name, JUDGED)}"
                    f" (aspects: {', '.join(JUDGED)})"
                )
            found[aspect] = _number("--aspect-weights", value)
        return found


def _number(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{option}: {text!r} is not a number")
    return value


judging = group(
    "judging",
    Judging,
    click.option("--baseline", type=PATH, metavar="RUN", help="Compare every other run with this one only."),
    click.option("--family", type=click.Choice(["pair", "report"]), default="pair", show_default=True,
                 help="What is corrected together: the primary metrics of a pair of runs, or all pairs."),
    click.option("--metrics", "compared", metavar="IDS", help="Compare only these metrics."),
    click.option("--primary", metavar="IDS", help="The metrics with verdicts; all others are diagnostics."),
    click.option("--margin", "margins", multiple=True, callback=values.key_values, metavar="METRIC=VALUE",
                 help="Differences within it are equivalent (default: 0.2 standard deviations of prompts)."),
    click.option("--aspect-weights", metavar="ASPECT=WEIGHT,…", help="Also give a weighted gain."),
)  # fmt: skip

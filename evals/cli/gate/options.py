"""Options that several gate commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli import values
from evals.cli.options import group, metric_list

if TYPE_CHECKING:
    from evals.gate.opening import Choice


@dataclass(frozen=True)
class Making:
    """How a baseline is made of a run."""

    tier: str | None
    margins: tuple[str, ...]
    primary: str | None
    platform: dict[str, str]

    def choice(self) -> Choice:
        from evals.gate.opening import Choice

        return Choice(self.tier, self.margins, metric_list(self.primary), self.platform)


platform = click.option(
    "--platform", multiple=True, callback=values.key_values, metavar="KEY=VALUE",
    help="Platform facts that the run did not record, such as gpu=H200; repeatable.",
)  # fmt: skip
making = group(
    "making",
    Making,
    click.option("--tier", type=click.Choice(["standard", "fast"]),
                 help="Design and margin: 100 prompts × 2 seeds at 0.35 sd, or 50 × 2 at 0.5 sd."),
    click.option("--margin", "margins", multiple=True, metavar="0.5sd|METRIC=VALUE",
                 help="Largest drop that still passes, of all metrics or of one; repeatable."),
    click.option("--primary", metavar="IDS", help="The metrics that decide (default: the primary ones)."),
    platform,
)  # fmt: skip
fidelity = click.option("--fidelity", metavar="IDS", help="Fidelity metrics to measure (default: all).")


def ids(text: str | None) -> list[str] | None:
    """Metric ids that were given."""
    found = metric_list(text)
    return None if found is None else list(found)


def written(path: Path) -> str:
    """What is said of a file."""
    return f"wrote {path}"

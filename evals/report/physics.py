"""Physical plausibility in tables: per law and category, how many clips could be tested, beside the score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evals.compare import Comparison, RunScores
from evals.metrics.physics.evidence import BROKEN
from evals.metrics.physics.laws import LAWS
from evals.records import Prompt

METRIC = "physics_law"


@dataclass(frozen=True)
class Tested:
    """Of one model and one law or category: clips that the law could be tested on, of how many; the mean
    score of those, and how many of them are below `BROKEN`."""

    run: str
    tested: int
    clips: int
    score: float | None
    violated: int

    @property
    def share(self) -> float:
        return self.tested / self.clips if self.clips else 0.0


@dataclass(frozen=True)
class Line:
    """A law or a category, and every model's cell in the order of the report."""

    name: str
    cells: tuple[Tested, ...]


def by_law(comparison: Comparison) -> list[Line]:
    """A line per law that some prompt names and tracks can test."""
    return _lines(comparison, lambda prompt: prompt.law or "")


def by_category(comparison: Comparison) -> list[Line]:
    """A line per category of such prompts."""
    return _lines(comparison, lambda prompt: prompt.category)


def _lines(comparison: Comparison, name_of: Callable[[Prompt], str]) -> list[Line]:
    names: dict[str, None] = {}
    cells: dict[tuple[str, str], Tested] = {}
    for run in comparison.sources:
        for name, cell in _of_run(run, name_of).items():
            names.setdefault(name)
            cells[name, run.label] = cell
    return [
        Line(
            name, tuple(cells.get((name, label), Tested(label, 0, 0, None, 0)) for label in comparison.labels)
        )
        for name in sorted(names)
    ]


def _of_run(run: RunScores, name_of: Callable[[Prompt], str]) -> dict[str, Tested]:
    table = run.by_metric.get(METRIC)
    found: dict[str, list[float | None]] = {}
    if table is None:
        return {}
    prompts = table.index.get_level_values("prompt_id")
    columns = (table["status"], table["value"])
    for prompt_id, status, value in zip(prompts, *columns, strict=True):
        prompt = run.prompts[str(prompt_id)]
        if prompt.law not in LAWS or prompt.cuts or status not in ("ok", "skipped", "failed"):
            continue
        of = name_of(prompt)
        found.setdefault(of, []).append(float(value) if status == "ok" else None)
    made = {}
    for name, values in found.items():
        scores = [value for value in values if value is not None]
        mean = sum(scores) / len(scores) if scores else None
        violated = sum(score < BROKEN for score in scores)
        made[name] = Tested(run.label, len(scores), len(values), mean, violated)
    return made

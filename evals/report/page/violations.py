"""The physics section's evidence: the clearest violations of every model, each with a still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.compare import Comparison
from evals.report.page.curves import VIOLATIONS, Found
from evals.report.page.media import MEDIA, Shown, ShownId
from evals.report.page.rows import Row

MOST = 6


@dataclass(frozen=True)
class Violation:
    """A violated moment of a video: the viewer's `row`, seconds, in words, and its still (a path from the
    page, "" where there is none); `ticks` are (first, last) of all violations of the video as shares of its
    length."""

    run: str
    row: int
    prompt: str
    seed: int
    law: str
    kind: str
    said: str
    seconds: float
    still: str
    ticks: tuple[tuple[float, float], ...]


def violations(
    comparison: Comparison,
    rows: Sequence[Row],
    found: Mapping[ShownId, Found],
    shown: Mapping[ShownId, Shown],
) -> list[tuple[str, list[Violation], int]]:
    """By model, the first violations in the viewer's order, one a video, and how many videos have one."""
    made = []
    for label in comparison.labels:
        mine, count = list[Violation](), 0
        for number, row in enumerate(rows):
            one = found.get((label, row.at))
            flags = [f for f in one.flags if f.kind in VIOLATIONS] if one else []
            if not one or not flags:
                continue
            count += 1
            media = shown.get((label, row.at), Shown())
            if len(mine) < MOST and media.name:
                worst = min(flags, key=lambda f: VIOLATIONS.index(f.kind))
                still = f"{MEDIA}/{media.name}-{worst.moment}.jpg" if worst.moment in media.stills else ""
                length = max(float(one.times[-1]), 1e-6)
                ticks = tuple((one.at(f.first) / length, one.at(f.last) / length) for f in flags)
                mine.append(
                    Violation(
                        label,
                        number,
                        row.prompt.id,
                        row.seed,
                        row.prompt.law or "",
                        worst.kind,
                        worst.said,
                        one.at(worst.moment),
                        still,
                        ticks,
                    )
                )
        made.append((label, mine, count))
    return made

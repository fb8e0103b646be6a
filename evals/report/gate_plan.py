"""A calibration and a plan in words and tables for a terminal."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from evals.gate.plan import DESIGNS, Plan
from evals.gate.records import Calibration, Rate
from evals.report.numbers import number


def _printed(*parts: Table | str, width: int = 100) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str), markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def _grid(*names: str) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for i, name in enumerate(names):
        grid.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    return grid


def share(rate: Rate) -> str:
    """`0 of 40 (at most 8.8 %)`, or with its interval."""
    if rate.count == 0:
        return f"0 of {rate.n} (at most {rate.high:.1%})"
    return f"{rate.count} of {rate.n} ({rate.low:.1%}–{rate.high:.1%})"


def calibration(found: Calibration) -> str:
    """What two populations say of every fidelity metric."""
    said = [f"{len(found.runs)} runs of one model: {', '.join(found.runs)}"]
    if found.identical:
        said.append("all repeats are identical, byte by byte")
    grid = _grid("metric", "median repeat", "worst", "threshold", "false alarms", "finds")
    lines = []
    for one in found.separations:
        finds = [kind.kind for kind in one.kinds if kind.separated]
        grid.add_row(
            one.metric, number(one.median_repeat), number(one.worst_repeat),
            number(one.threshold) if one.usable else "not used", share(one.false_alarms),
            f"{len(finds)} of {len(one.kinds)}",
        )  # fmt: skip
        missed = [f"{k.kind} ({k.missed.value:.0%} missed)" for k in one.kinds if not k.separated]
        if one.usable and missed:
            lines.append(f"{one.metric} does not find: {', '.join(missed)}")
        if not one.usable:
            lines.append(f"{one.metric}: {one.message}")
        if one.bistability.bistable:
            low, high = number(one.bistability.low), number(one.bistability.high)
            lines.append(
                f"{one.metric}: repeats are bistable, around {low} and {high} (bimodality"
                f" {one.bistability.coefficient:.2f} > 0.56, dip {one.bistability.dip:.3f} >"
                f" {one.bistability.limit:.3f})"
            )
    missed_kinds = [f"{k.kind}" for k in (found.separations[0].kinds if found.separations else ())]
    unseen = [
        kind
        for kind in missed_kinds
        if not any(k.separated for one in found.usable for k in one.kinds if k.kind == kind)
    ]
    if found.usable and unseen:
        lines.append(f"no metric finds: {', '.join(unseen)}")
    if not found.usable:
        lines.append("fidelity is unusable here: repeats differ as much as bad videos do; quality decides")
    return _printed(*said, grid, *lines)


def plan_text(found: Plan) -> str:
    """The plan as tables."""
    parts: list[Table | str] = [f"{found.baseline}: {found.prompts} prompts × {found.seeds} seeds"]
    if found.fidelity:
        grid = _grid("fidelity", "frames", "of", "prompts", "finds")
        for row in found.fidelity:
            grid.add_row(
                row.metric, str(row.frames or "–"), str(row.longest or "–"), str(row.prompts or "–"),
                ", ".join(row.finds) or row.message,
            )  # fmt: skip
        parts += ["", "Shortest clips and fewest prompts that still tell repeats from bad videos:", grid]
    else:
        parts.append("not calibrated for fidelity (gate calibrate)")
    if not found.powers:
        return _printed(*parts, "nothing is known of noise: calibrate, or use two seeds or more")
    seeds = found.seeds if any(p.seeds == found.seeds for p in found.powers) else 1
    names = list(dict.fromkeys(p.metric for p in found.powers))
    by = {(p.metric, p.prompts): p for p in found.powers if p.seeds == seeds}
    grid = _grid("quality", "margin", *(f"n = {n}" for n in DESIGNS))
    for name in names:
        powers = [by.get((name, n)) for n in DESIGNS]
        margin = next((number(p.margin, 2) for p in powers if p is not None and p.margin), "–")
        grid.add_row(name, margin, *(number(p.smallest if p else None, 2) for p in powers))
    parts += [
        "",
        f"Smallest drop that is called a regression four times in five, at {seeds} seeds a prompt (noise from"
        f" {found.noise_from}):",
        grid,
    ]
    if found.hours:
        grid = _grid("hours of generating", *(f"n = {n}" for n in DESIGNS))
        for count in sorted({int(key.split("x")[1]) for key in found.hours}):
            grid.add_row(f"{count} seeds", *(number(found.hours[f"{n}x{count}"], 2) for n in DESIGNS))
        parts += ["", f"At {number(found.seconds, 3)} s a video, as recorded:", grid]
    return _printed(*parts)

"""The demo: simulated generators with known flaws, the quick suite, a comparison. Offline, on any CPU.

One generator is sound; each of the others has one flaw. All draw the same prompts with the same seed; a
second sound set, of other seeds, is what distances are measured to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import generators, prompts, suites
from evals.compare import Comparison
from evals.errors import CannotDraw
from evals.records import Prompt, PromptSet, Settings, View
from evals.report import write
from evals.run import Plan, Resources, Watcher, compare_runs, generate_run, score_run
from evals.score import prepare
from evals.worlds import check

SETS = ("parks", "animals", "physics")
VARIANTS = {
    "sound": "simulated:clean",
    "flickers": "simulated:flicker@0.3",
    "freezes": "simulated:frozen@0.5",
    "no-gravity": "simulated:no-gravity@1",
    "wrong-subject": "simulated:wrong-subject@1",
}
REFERENCE = "more-sound"
SIZE = Settings(width=192, height=144)  # optical flow is most of the time, and goes by pixels


@dataclass(frozen=True)
class Demo:
    """What the demo made: a comparison and where its page is."""

    comparison: Comparison
    page: Path


def chosen(per_set: int) -> PromptSet:
    """The first `per_set` prompts of each standard set in which something happens that can be drawn."""
    found: list[Prompt] = []
    for name in SETS:
        mine = [p for p in prompts.load(prompts.find(name)).prompts if _fits(p)]
        found += mine[:per_set]
    return PromptSet(name="demo", prompts=tuple(found))


def _fits(prompt: Prompt) -> bool:
    try:
        check(prompt)
    except CannotDraw:
        return False
    return prompt.motion != "none"


def demo(
    out: Path,
    per_set: int,
    videos: int,
    resources: Resources,
    watcher: Watcher,
    say: Callable[[str], None],
) -> Demo:
    """Generate, score and compare all variants; resumes in `out`/runs. `say` is told what comes next."""
    made = chosen(per_set)
    plans: Sequence[tuple[str, str, Sequence[int]]] = [
        *((name, generator, (0,)) for name, generator in VARIANTS.items()),
        (REFERENCE, VARIANTS["sound"], (1, 2)),
    ]
    metrics = prepare(suites.load("quick").metrics, {})
    for name, generator, seeds in plans:
        say(f"{name}: {generator}, {len(made.prompts)} prompts × {len(seeds)}")
        plan = Plan(generators.create(generator, {}), out / "runs" / name, made, seeds, SIZE)
        run, _ = generate_run(plan, resources, watcher)
        score_run(run, metrics, View(), resources, watcher=watcher)
    runs = [out / "runs" / name for name in VARIANTS]
    found = compare_runs(runs, None, out / "runs" / REFERENCE, out, {}, resources)
    with resources.pool() as pool:
        page = write(found, out, pool if videos else None, videos)
    return Demo(found, page)

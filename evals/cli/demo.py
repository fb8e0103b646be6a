"""`demo`: simulated generators with known flaws, the quick suite, a comparison. Offline, on any CPU.

One generator is clean; each of the others has one flaw. All draw the same prompts with the same seed; a
second clean set, of other seeds, is what distances are measured to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH, Common, common, force, open_page
from evals.cli.output import say, tell_json
from evals.cli.results import print_comparison

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.decoding.resources import Progress, Resources
    from evals.records import Prompt, PromptSet

SETS = ("parks", "animals", "physics")
VARIANTS = {
    "clean": "simulated:clean",
    "flickers": "simulated:flicker@0.3",
    "freezes": "simulated:frozen@0.5",
    "no-gravity": "simulated:no-gravity@1",
    "wrong-subject": "simulated:wrong-subject@1",
}
CLEAN, REFERENCE = "clean", "clean-reference"
WIDTH, HEIGHT = 192, 144  # optical flow is most of the time, and goes by pixels


@click.command(name="demo")
@click.option("--out", type=PATH, default=Path("reports/demo"), show_default=True, help="Report folder.")
@click.option(
    "--per-set",
    type=click.IntRange(1, 40),
    default=8,
    show_default=True,
    help="Prompts of each of the three standard sets.",
)
@click.option(
    "--videos",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Prompts whose videos the page shows.",
)
@force
@open_page
@common
def command(
    out: Path, per_set: int, videos: int, force: bool, open_page: bool, common: Common
) -> int:  # fmt: skip
    """A whole evaluation on simulated worlds with known flaws: no GPU, network, weights or videos needed."""
    from evals.cli.progress import Bar
    from evals.report import check_place, write_report

    def remark(text: str) -> None:
        if not common.quiet:
            say(text)

    common.start()
    check_place(out, force)
    with common.resources() as resources, Bar(common.quiet) as bar:
        found = run_demo(out, per_set, resources, bar, remark)
        page = write_report(found, out, resources.pool if videos else None, videos, force)
    if common.as_json:
        tell_json(found.to_json())
    else:
        print_comparison(found, page)
    if open_page:
        click.launch(str(page))
    return 0


def choose_prompts(per_set: int) -> PromptSet:
    """The first `per_set` prompts of each standard set that ask for motion and can be drawn."""
    from evals import prompts
    from evals.records import PromptSet

    found: list[Prompt] = []
    for name in SETS:
        mine = [p for p in prompts.load(prompts.find(name)).prompts if _fits(p)]
        found += mine[:per_set]
    return PromptSet(name="demo", prompts=tuple(found))


def _fits(prompt: Prompt) -> bool:
    from evals.errors import CannotDraw
    from evals.worlds import check

    try:
        check(prompt)
    except CannotDraw:
        return False
    return prompt.motion != "none"


def run_demo(
    out: Path, per_set: int, resources: Resources, progress: Progress, say: Callable[[str], None]
) -> Comparison:
    """Generate, score and compare all variants; resumes in `out`/runs. `say` is told what comes next."""
    from evals import generators
    from evals.compare.runs import compare_runs
    from evals.generate import RunConfig, generate_run
    from evals.metrics import suites
    from evals.records import Settings
    from evals.scoring import prepare, score_run

    made = choose_prompts(per_set)
    plans: Sequence[tuple[str, str, Sequence[int]]] = [
        *((name, generator, (0,)) for name, generator in VARIANTS.items()),
        (REFERENCE, VARIANTS[CLEAN], (1, 2)),
    ]
    metrics = prepare(suites.load("quick").metrics)
    size = Settings(width=WIDTH, height=HEIGHT)
    for name, generator, seeds in plans:
        say(f"{name}: {generator}, {len(made.prompts)} prompts × {len(seeds)}")
        config = RunConfig(generators.create(generator), out / "runs" / name, made, seeds, size)
        score_run(generate_run(config, resources, progress), metrics, None, resources, progress=progress)
    runs = [out / "runs" / name for name in VARIANTS]
    return compare_runs(runs, None, out / "runs" / REFERENCE, out, {}, resources)

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
from evals.cli.paging import Paging, paging
from evals.cli.results import print_comparison

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.compare.results import Pair
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
FLAWS = {
    "flickers": "its brightness jumps from frame to frame",
    "freezes": "it stands still for half of the time",
    "no-gravity": "things float instead of falling",
    "wrong-subject": "it shows another subject than the prompt asks for",
}
BLIND = {
    "no-gravity": "No metric of this suite tests whether things fall: the suite `physics` does.",
}
CLEAN, REFERENCE = "clean", "clean-reference"
PHOTOGRAPHS = "efficientnet-lite0"
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
@paging("all")
@force
@open_page
@common
def command(
    out: Path, per_set: int, paging: Paging, force: bool, open_page: bool, common: Common
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
        pool = resources.pool if paging.videos != 0 else None
        page = write_report(found, out, pool, paging.options(), force, bar)
    if common.as_json:
        tell_json(found.to_json())
    else:
        print_comparison(found, page, said=story(found))
    if open_page:
        click.launch(str(page))
    return 0


def story(found: Comparison) -> list[str]:
    """Which generator has which flaw, what caught it, and what did not."""
    return [_clean(found), *(_of_flaw(found, name, flaw) for name, flaw in FLAWS.items())]


def _clean(found: Comparison) -> str:
    from evals.errors import Reason
    from evals.report.numbers import number

    apart = {one.run: one for one in found.distributions if one.metric.startswith("kvd")}
    one = apart.get(CLEAN)
    if one is None or one.value is None or one.p_equal is None or one.reason == Reason.OUT_OF_DOMAIN:
        return f"{CLEAN} has no flaw; the others are compared with it."
    seen = "differs" if one.p_equal <= 0.05 else "is not shown to differ"
    return (
        f"{CLEAN} has no flaw, and {seen} from videos of the same generator with other seeds"
        f" ({one.metric} {number(one.value, 2)}, p = {one.p_equal:.2g})."
    )


def _of_flaw(found: Comparison, name: str, flaw: str) -> str:
    """What the verdicts against the clean generator say of a flaw that is known to be there."""
    from evals.report.numbers import percent

    mine = [pair for pair in found.pairs if pair.a == name and pair.difference is not None]
    caught = [f"{p.metric} ({percent(p.relative)})" if percent(p.relative) else p.metric
              for p in mine if p.verdict == "worse"]  # fmt: skip
    text = f"{name}: {flaw}. "
    text += f"Caught by {', '.join(caught)}." if caught else "Not caught by any verdict."
    higher = [p for p in mine if p.verdict in ("better", "trade-off") and _favours_a(found, p)]
    if higher:
        rewards = dict.fromkeys(r for p in higher for r in found.metrics[p.metric].rewarded_by)
        verb = "rates" if len(higher) == 1 else "rate"
        text += f" {', '.join(p.metric for p in higher)} {verb} it higher"
        text += f": {', '.join(rewards)} alone would." if rewards else "."
    return f"{text} {BLIND[name]}" if name in BLIND else text


def _favours_a(found: Comparison, pair: Pair) -> bool:
    return ((pair.difference or 0.0) > 0) == (found.metrics[pair.metric].direction == "higher")


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
    from evals.compare import Rules
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
    # Drawings are no photographs: what was trained on these is left out.
    metrics = prepare(
        [name for name in suites.load("quick").metrics if not name.endswith(f"[{PHOTOGRAPHS}]")]
    )
    size = Settings(width=WIDTH, height=HEIGHT)
    for name, generator, seeds in plans:
        say(f"{name}: {generator}, {len(made.prompts)} prompts × {len(seeds)}")
        config = RunConfig(generators.create(generator), out / "runs" / name, made, seeds, size)
        score_run(generate_run(config, resources, progress), metrics, None, resources, progress=progress)
    runs = [out / "runs" / name for name in VARIANTS]
    rules = Rules(baseline=CLEAN)
    return compare_runs(runs, None, out / "runs" / REFERENCE, out, {}, resources, rules=rules)

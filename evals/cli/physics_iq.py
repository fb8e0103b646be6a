"""`physics-iq`: the Physics-IQ benchmark by its own protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli.options import PATH, Common, common
from evals.cli.output import say, tell, tell_json
from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.benchmarks.physics_iq import Result

SHOWN = 12


@click.command(name="physics-iq")
@click.argument("generated", type=PATH, nargs=-1, required=True)
@click.option("--benchmark", type=PATH, required=True, help="Folder of the downloaded benchmark.")
@click.option("--descriptions", type=PATH, help="Its index (CSV), for categories and for what is missing.")
@click.option(
    "--conditioned-on",
    type=click.Choice(["image", "video", "text"]),
    required=True,
    help="What the model was given of the scene: its last frame before the test, the three seconds before, or"
    " only words.",
)
@click.option("--partial", is_flag=True, help="Go on with the clips that are there and right.")
@click.option(
    "--out", type=PATH, default=Path("reports/physics-iq"), show_default=True, help="Folder for results."
)
@common
def command(
    generated: tuple[Path, ...],
    benchmark: Path,
    descriptions: Path | None,
    conditioned_on: str,
    partial: bool,
    out: Path,
    common: Common,
) -> int:
    """Physics-IQ of one model: every folder in GENERATED is one run of it (the benchmark asks for four).

    A clip is known by the id that its name begins with (0001 … 0198); it lasts five seconds. What is missing
    is said before work starts; no file is renamed."""
    from evals.benchmarks import physics_iq
    from evals.benchmarks.physics_iq_results import write
    from evals.runs.features import FeatureStore
    from evals.runs.lock import held as locked

    common.start()
    with common.resources() as resources:
        found, held = physics_iq.prepare(generated, benchmark, descriptions, resources)
        wrong = [f"{place}: {one.message}" for place, _, each in held for one in each]
        for line in wrong[:SHOWN]:
            say(line)
        if len(wrong) > SHOWN:
            say(f"… and {len(wrong) - SHOWN} more")
        if wrong and not partial:
            say(f"{len(wrong)} problems; mend them, or go on without these clips by --partial")
            return 2
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {out}: no folder can be made there: {error.strerror}") from None
        with locked(out):
            store = FeatureStore(out / "features")
            result = physics_iq.measure(found, held, conditioned_on, resources, store)
            document = write(result, out)
    if common.as_json:
        tell_json(document)
    else:
        tell(_table(result, document))
        say(f"results: {out}")
    known = {(place, one.message) for place, _, each in held for one in each}
    late = [
        f"{run.folder}: {one}"
        for run in result.runs
        for one in run.left_out
        if (run.folder, one) not in known
    ]
    for line in late[:SHOWN]:
        say(f"left out: {line}")
    return 4 if late else 0


def _table(result: Result, document: dict[str, Any]) -> str:
    spread = "" if result.spread is None else f" ± {result.spread:.1f} (sd of {len(result.runs)} runs)"
    lines = [f"Physics-IQ: {result.score:.1f} %{spread}, conditioned on {result.conditioned_on}"]
    lines += [f"  {label}" for label in result.labels]
    for title, part in (("setting", "settings"), ("category", "categories")):
        lines.append(f"\n{title:34s} score %")
        for name, value in document[part].items():
            sd = "" if value["sd"] is None else f" ± {value['sd']:.1f}"
            lines.append(f"{name:34s} {value['mean']:6.1f}{sd}")
    mean = document["means"]
    lines.append(
        f"\nmeans: spatiotemporal IoU {mean['spatiotemporal']:.3f}, spatial IoU {mean['spatial']:.3f},"
        f" weighted spatial IoU {mean['weighted']:.3f}, MSE {mean['mse']:.4f}"
    )
    return "\n".join(lines)

"""What the physics suite adds to a `quick` pass over the same clips: `python -m benchmarks.physics_cost
FOLDER`.

Interleaved rounds on one machine; medians of the seconds of a pass and of their ratios."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from evals.decoding.resources import Resources
from evals.generate import RunConfig, generate_run
from evals.generators import create
from evals.metrics import suites
from evals.scoring import prepare, score_run

PHYSICS = ("physics_law", "physics_permanence", "physics_continuity", "gravity", "motion_distance[dis]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    quick = suites.load("quick").metrics
    passes = {"quick": quick, "with physics": (*quick, *PHYSICS)}
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(options.rounds):
        for name, metrics in passes.items():
            with tempfile.TemporaryDirectory() as place, Resources() as resources:
                config = RunConfig(create(f"folder:{options.folder}"), Path(place) / "run")
                run = generate_run(config, resources)  # decoder processes have started
                chosen = prepare(list(metrics))
                start = time.perf_counter()
                score_run(run, chosen, resources=resources)
                seconds[name].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    for name, each in seconds.items():
        print(f"{name}: {statistics.median(each):.2f} s")
    print(f"with physics / quick: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()

"""One pass for all of `quick` against a decode per metric: `python benchmarks/extract.py FOLDER`.

FOLDER holds clips. Every round decodes alone, runs the suite's folds in one pass, then each fold in a
pass of its own, in fresh pools with the given number of workers; figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from evals.decoding.pool import Job, Pool
from evals.folds import FOLDS
from evals.records import View
from evals.score import prepare
from evals.suites import load


def seconds(pool: Pool, paths: list[Path], folds: list[str]) -> float:
    fields = {"view": View().model_dump(mode="json"), "folds": folds, "samplings": {}}
    started = time.perf_counter()
    for event in pool.run(Job(p, "extract", None, fields) for p in paths):
        if event.error is not None:
            raise SystemExit(f"{event.job.path}: {event.error}")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.mp4"))
    folds = list(prepare(load("quick").metrics, {}).extractors.folds)
    assert set(folds) <= set(FOLDS)
    cases: dict[str, list[list[str]]] = {
        "decode alone": [[]],
        "one pass": [folds],
        "a pass per fold": [[f] for f in folds],
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    with Pool(options.workers) as pool:
        seconds(pool, paths, folds)  # start the workers, fill the file cache
        for _ in range(options.rounds):
            for name, passes in cases.items():
                times[name].append(sum(seconds(pool, paths, one) for one in passes))
    medians = {name: statistics.median(t) for name, t in times.items()}
    for name, median in medians.items():
        print(f"{name:18s} {median:7.2f} s {len(paths) / median:7.1f} videos/s")
    print(f"a pass per fold takes {medians['a pass per fold'] / medians['one pass']:.2f} × one pass")


if __name__ == "__main__":
    main()

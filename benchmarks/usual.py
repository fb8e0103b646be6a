"""One pass for all metrics against the usual way: `python -m benchmarks.usual FOLDER`.

FOLDER holds clips. Interleaved rounds on the same clips, medians of their ratios:

- a decode and a pass per metric, each with what that metric needs and nothing else;
- encoders frame by frame (batch 1) against padded batches, on windows in memory.

Beside the first stands the ratio that the stages of one pass predict: what every metric would cost on its
own, over what they cost together. `python -m benchmarks.frechet` has the third case, `sqrtm`.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import (
    chosen,
    copies,
    costs,
    machine,
    metric_ids,
    options,
    paths_of,
    save,
    scored,
    weights,
    windows_of,
)
from evals.decoding.resources import Resources
from evals.encoders import Encoder
from evals.encoders.device import actual
from evals.extract import Cost
from evals.metrics.base import DistributionMetric, VideoMetric
from evals.scoring import Metrics, prepare


def predicted(apart: dict[str, Metrics], cost: Cost, encode: dict[str, float]) -> float:
    """Cost of all metrics on their own over their cost together, from the stages of one pass."""

    def alone(metrics: Metrics) -> float:
        frames = sum(cost.seconds.get(f"frames:{name}", 0.0) for name in metrics.prepared.frames)
        windows = sum(cost.seconds.get(f"windows:{n}", 0.0) + encode[n] for n in metrics.prepared.encoders)
        return cost.seconds["decode"] + frames + windows

    together = sum(v for k, v in cost.seconds.items() if k not in ("send", "commit"))
    return sum(alone(m) for m in apart.values()) / together


def one_by_one(encoder: Encoder, windows: list[NDArray[np.uint8]], device: str, batch: int) -> float:
    """Seconds to encode windows in batches of a size of their own."""
    import torch

    encoder.load(device)
    started = time.perf_counter()
    for start in range(0, len(windows), batch):
        part = torch.from_numpy(np.stack(windows[start : start + batch])).to(device)
        for value in encoder.encode(part).values():
            value.cpu()
    return time.perf_counter() - started


def main() -> None:
    o = options(__doc__).parse_args()
    metrics = chosen(o)
    everything: dict[str, VideoMetric | DistributionMetric] = {**metrics.video, **metrics.distribution}
    needs = {name: {n.id for n in m.needs} for name, m in everything.items()}
    apart = {
        name: prepare([name], {k: v for k, v in weights(o).items() if k in needs[name]})
        for name in metric_ids(o)
    }
    together: list[float] = []
    each: list[dict[str, float]] = []
    batches: dict[str, list[float]] = {name: [] for name in metrics.prepared.encoders}
    with copies(o.folder) as runs, Resources(o.workers, o.device) as resources:
        first = next(runs)
        cost = costs(first, metrics, resources, o.device)
        windows = windows_of(paths_of(first), metrics)
        device = actual(o.device)
        for one in apart.values():
            scored(next(runs), one, resources)  # loads every network once
        for _ in range(o.rounds):
            together.append(scored(next(runs), metrics, resources))
            each.append({n: scored(next(runs), m, resources) for n, m in apart.items()})
            for name, encoder in metrics.prepared.encoders.items():
                some = windows[name][:64]
                single = one_by_one(encoder, some, device, 1)
                batches[name].append(single / one_by_one(encoder, some, device, encoder.batch))
    encode = {
        name: one_by_one(encoder, windows[name], device, encoder.batch)
        for name, encoder in metrics.prepared.encoders.items()
    }
    ratio = statistics.median(sum(e.values()) / t for e, t in zip(each, together, strict=True))
    guess = predicted(apart, cost, encode)
    found = {
        "machine": {**machine(o.device), "workers": o.workers},
        "videos": cost.videos,
        "one_pass_seconds": together,
        "pass_per_metric_seconds": each,
        "ratio": ratio,
        "predicted_ratio": guess,
        "batch_1_over_batches": batches,
    }
    save(o.json, found)
    print(f"{cost.videos} videos, {len(apart)} metrics, {o.workers} workers, {o.device}")
    print(f"one pass {statistics.median(together):.2f} s; a pass per metric takes {ratio:.2f} × that,")
    print(f"predicted from the stages of one pass: {guess:.2f} ×")
    for name, values in batches.items():
        print(f"{name}: batch 1 takes {statistics.median(values):.2f} × batches")
    print(f"stages: {cost}")


if __name__ == "__main__":
    main()

"""How a Ray cluster scales: clips scored on one node and on several, each of one core, on this machine.

    python -m benchmarks.cluster FOLDER [--nodes 2] [--metrics … | --suite quick]

Every node keeps to one core and runs one station with one decoder; the driver is a process beside them.
Seconds are those of scoring with the start of stations, and from the first video that is done to the last.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from evals import generators
from evals.decoding.resources import Progress, Resources
from evals.executors.cluster import RayExecutor, RayOptions
from evals.generate import RunConfig, generate_run
from evals.metrics import suites
from evals.scoring import prepare, score_run


@dataclass
class Times:
    """When videos were done."""

    done: list[float] = field(default_factory=list)

    def progress(self) -> Progress:
        return Progress(advance=lambda failed: self.done.append(time.perf_counter()))


def seconds(address: str, folder: Path, metrics: list[str], place: Path) -> dict[str, float]:
    """Score a folder's clips on a cluster."""
    times = Times()
    with Resources(workers=1) as resources:
        run = generate_run(RunConfig(generators.create(f"folder:{folder}"), place), resources)
        chosen = prepare(metrics)
        started = time.perf_counter()
        with RayExecutor(resources, address, RayOptions(cpus=1)) as executor:
            score_run(run, chosen, resources=resources, progress=times.progress(), executor=executor)
    return {
        "whole": round(time.perf_counter() - started, 1),
        "videos": len(times.done),
        "first to last": round(times.done[-1] - times.done[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--metrics")
    given = parser.parse_args()
    metrics = given.metrics.split(",") if given.metrics else list(suites.load(given.suite).metrics)
    logging.disable(logging.WARNING)
    from ray.cluster_utils import Cluster

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        head = {"num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cores = sorted(os.sched_getaffinity(0))
        for nodes in range(1, given.nodes + 1):
            # A node's processes keep to one core; else a single node would use the others, too.
            os.sched_setaffinity(0, {cores[(nodes - 1) % len(cores)]})
            cluster.add_node(num_cpus=1)
            os.sched_setaffinity(0, cores)
            if nodes in (1, given.nodes):
                place = Path(scratch) / str(nodes)
                found[f"{nodes} nodes"] = seconds(cluster.address, given.folder, metrics, place)
        cluster.shutdown()  # type: ignore[no-untyped-call]
    one, many = found["1 nodes"], found[f"{given.nodes} nodes"]
    found["ratio"] = {name: round(one[name] / many[name], 2) for name in ("whole", "first to last")}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

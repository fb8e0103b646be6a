"""`ray`: stations on the machines of a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

from pydantic import Field

from evals import registry
from evals.decoding.resources import Resources
from evals.errors import Reason, UsageError
from evals.executors.base import Executor, Extracted, GeneratorRecipe, Problem, Source, Task
from evals.executors.crew import Crew, Lost
from evals.executors.local import LocalExecutor
from evals.executors.making import Made, Order
from evals.executors.stations import (
    Equipment,
    FeatureStation,
    Station,
    VideoStation,
    features_digest,
    mark_of,
)
from evals.generators.base import Generator, failed
from evals.metrics.needs import Prepared
from evals.records import Normalization, Record

BATCH = 8  # videos that go to a station together, so that its encoders' batches fill
LOST = "ended the process that worked on it, three times"


class RayOptions(Record):
    """What each station takes of a machine: `cpus`, as many decoder processes; `gpus`, or a part of one
    (default: 1 where the cluster has any); `memory` in GiB. `stations` is their number at most."""

    cpus: Annotated[float, Field(ge=0.1, le=256)] = 1
    gpus: Annotated[float, Field(ge=0, le=16)] | None = None
    memory: Annotated[float, Field(gt=0, le=4096)] | None = None
    stations: Annotated[int, Field(ge=1, le=10_000)] | None = None


class RayExecutor(Executor):
    """Use as a context manager. `address` is a running cluster's (`auto`, `HOST:PORT`); without one Ray looks
    for `RAY_ADDRESS` and else starts on this machine.

    Runs, clips and weights lie on a path that all machines share. Generators that only wait for an API, and
    those whose videos exist, stay with this process.
    """

    def __init__(self, resources: Resources, address: str | None, options: RayOptions) -> None:
        if address and address.startswith("ray://"):
            raise UsageError(
                f"--address {address}: give the address of the head node, HOST:PORT, not Ray Client's"
            )
        self._resources, self._options, self._local = resources, options, LocalExecutor(resources)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise UsageError(
                "--executor ray needs the package ray: `pip install 't2v-evals[ray]'` on every machine"
            ) from None
        self._ray: Any = ray
        self._mine = not ray.is_initialized()
        if self._mine:
            try:
                _knock(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, RuntimeError, ValueError) as error:
                reason = getattr(error, "strerror", "") or str(error).partition("\n")[0]
                where = (
                    f"--address {address}: no cluster answers there" if address else "Ray cannot be started"
                )
                raise UsageError(f"{where}: {reason:.300}") from None

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            self._ray.shutdown()

    def extract(
        self, prepared: Prepared, normalization: Normalization, tasks: Sequence[Task], folder: Path
    ) -> Iterator[Extracted | None]:
        if not tasks:
            return
        if prepared.recipe is None or any(task.source.other for task in tasks):
            yield from self._local.extract(prepared, normalization, tasks, folder)
            return
        weights = {name: path.resolve() for name, path in prepared.recipe.weights.items()}
        recipe = replace(prepared.recipe, weights=weights)
        tasks = [Task(_absolute(task.source), task.needs) for task in tasks]
        # A clip that every machine must see; those that are gone are problems of their own.
        sample = next((t.source.path for t in tasks if t.source.path.exists()), folder.resolve())
        digest = features_digest(prepared)
        crew = self._crew(FeatureStation, recipe, digest, folder.resolve(), sample, bool(recipe.encoders))

        def send(actor: Any, items: list[int]) -> Any:
            chosen = [tasks[item] for item in items]
            return actor.work.options(num_returns="streaming").remote(chosen, normalization)

        for found in crew.work([_size(task.source.path) for task in tasks], send, BATCH):
            if found is None or isinstance(found[1], Extracted):
                yield found[1] if found else None
                continue
            source = tasks[found[0]].source
            problem = Problem(False, Reason.WORKER_LOST, f"{source.path.name}: {LOST}", transient=True)
            yield Extracted(source, problems=dict.fromkeys(prepared.of_video, problem))

    def make(
        self, generator: Generator, recipe: GeneratorRecipe | None, orders: Sequence[Order]
    ) -> Iterator[Made]:
        if not orders:
            return
        if recipe is None or generator.waits or generator.existing:
            yield from self._local.make(generator, recipe, orders)
            return
        orders = [Order(o.request, o.out.resolve(), o.aside and o.aside.resolve()) for o in orders]
        run = orders[0].out.parent.parent.parent
        crew = self._crew(VideoStation, recipe, generator.spec.digest, run, run / "run.json")

        def send(actor: Any, items: list[int]) -> Any:
            return actor.work.options(num_returns="streaming").remote([orders[item] for item in items])

        for found in crew.work([0] * len(orders), send, generator.batch):
            if found is not None and isinstance(found[1], Lost):
                yield found[0], failed(Reason.WORKER_LOST, f"the prompt {LOST}", transient=True), 0.0
            elif found is not None:
                yield found[0], *found[1]

    def _crew(
        self, station: type[Station], recipe: Any, digest: str, shared: Path, sample: Path,
        on_device: bool = True,
    ) -> Crew:  # fmt: skip
        options, ray = self._options, self._ray
        gpus = options.gpus
        if gpus is None:
            gpus = float(on_device and ray.cluster_resources().get("GPU", 0) > 0)
        device = self._resources.device if self._resources.device != "auto" or gpus else "cpu"
        memory = (options.memory or 0) * 2**30
        equipment = Equipment(
            workers=self._resources.workers or max(1, int(options.cpus)), device=device,
            limits=self._resources.limits, plugins=tuple(p.resolve() for p in self._resources.plugins),
            folder=Path.cwd(), shared=shared, mark=mark_of(shared), sample=sample,
        )  # fmt: skip
        needs = {"CPU": options.cpus, "GPU": gpus, "memory": memory}
        root = str(Path(__file__).resolve().parents[2])  # a checkout that is not installed
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        actor = ray.remote(
            num_cpus=options.cpus, num_gpus=gpus, memory=memory or None, max_restarts=0, max_task_retries=0,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )(station)  # fmt: skip
        return Crew(ray, needs, lambda: actor.remote(equipment, recipe), digest, options.stations)


def _knock(address: str | None) -> None:
    """Ray tries an address for minutes: see first whether anybody listens. Raises `OSError`."""
    host, _, port = (address or "").rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _absolute(source: Source) -> Source:
    return Source(source.sha256, source.path.resolve())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def options_of(given: Mapping[str, str]) -> RayOptions:
    """Typed options. Raises `UsageError`."""
    return registry.options_of(RayOptions, given, "--executor-option", "the executor ray")

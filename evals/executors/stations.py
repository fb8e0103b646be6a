"""What runs on a cluster's machines: a process for each share of a device, which makes features with a local
executor, or videos with a generator, of its own.

A station writes feature shards and videos and nothing else: journals are the driver's.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.decoding.resources import Resources
from evals.errors import EvalsError
from evals.executors.base import Extracted, GeneratorRecipe, Source, Task
from evals.executors.local import LocalExecutor
from evals.executors.making import Order, made_by
from evals.generators.base import Generation
from evals.metrics.needs import Needs, Prepared, Recipe
from evals.metrics.preparing import prepare_features
from evals.records import Normalization, digest
from evals.registry import load_plugin
from evals.runs.facts import put_facts
from evals.runs.features import ShardWriter
from evals.video import Limits

COMMIT_VIDEOS, COMMIT_BYTES, COMMIT_SECONDS = 16, 64 << 20, 10.0


@dataclass(frozen=True)
class Equipment:
    """What every station has: decoders, a device, limits, plugins; the driver's `folder`, to which relative
    paths belong; the folder `shared` with `mark` in it, and a file `sample`, as the driver sees them."""

    workers: int
    device: str
    limits: Limits
    plugins: tuple[Path, ...]
    folder: Path
    shared: Path
    mark: str
    sample: Path


def mark_of(folder: Path) -> str:
    """What tells a shared folder from another at the same path: the run that it belongs to."""
    for place in (folder, folder.parent):
        if (place / "run.json").exists():
            return digest((place / "run.json").read_text(encoding="utf-8")[:100])
    return ""


class Station(ABC):
    """Base: plugins loaded, components made, the shared folder seen."""

    def __init__(self, equipment: Equipment) -> None:
        self.equipment, self.refusal = equipment, ""
        if equipment.folder.is_dir():
            os.chdir(equipment.folder)
        try:
            for plugin in equipment.plugins:
                load_plugin(plugin)
            self.digest = self.begin()
            for path, is_seen in (
                (equipment.shared, mark_of(equipment.shared) == equipment.mark),
                (equipment.sample, equipment.sample.exists()),
            ):
                if not is_seen:
                    self.refusal = (
                        f"{path} is not there as the driver sees it: runs, clips and weights must lie on a"
                        " path that all machines share"
                    )
        except EvalsError as error:
            self.refusal = str(error)

    @abstractmethod
    def begin(self) -> str:
        """Make the components; gives their digest."""

    def ready(self, digest: str) -> tuple[str, str]:
        """Why this station cannot work, empty where it can, and the machine it is on. `digest` is that of the
        driver's components."""
        import ray

        if not self.refusal and self.digest != digest:
            self.refusal = "other weights, plugins or another version of t2v-evals than the driver has"
        where = f"machine {platform.node()} of the cluster: "
        return where + self.refusal if self.refusal else "", ray.get_runtime_context().get_node_id()


class FeatureStation(Station):
    """Makes features of videos and commits them in shards of its own."""

    def __init__(self, equipment: Equipment, recipe: Recipe) -> None:
        self.recipe = recipe
        super().__init__(equipment)

    def begin(self) -> str:
        mine = self.equipment
        self.prepared = prepare_features(self.recipe)
        self.executor = LocalExecutor(Resources(mine.workers, mine.device, mine.limits, mine.plugins))
        self.shards = ShardWriter(mine.shared, f"node-{secrets.token_hex(6)}")
        return features_digest(self.prepared)

    def work(
        self, tasks: Sequence[Task], normalization: Normalization
    ) -> Iterator[tuple[int, Extracted, bool]]:
        """What became of each task, by its number, once its features are on the disk."""
        needs = Needs(self.prepared.specs(), normalization)
        numbers = {task.source: number for number, task in enumerate(tasks)}
        done: list[Extracted] = []
        committed = time.monotonic()
        for found in self.executor.extract(self.prepared, normalization, tasks, self.equipment.shared):
            if found is None:
                if done and time.monotonic() - committed > COMMIT_SECONDS:
                    yield from self._committed(done, numbers)
                    done, committed = [], time.monotonic()
                continue
            for need, features in found.features.items():
                self.shards.put(needs.key(need, found.source.of), features)
            if found.facts is not None:
                put_facts(self.shards, found.source.name, normalization, found.facts)
            done.append(found)
            if len(done) >= COMMIT_VIDEOS or self.shards.bytes > COMMIT_BYTES:
                yield from self._committed(done, numbers)
                done, committed = [], time.monotonic()
        yield from self._committed(done, numbers)

    def _committed(
        self, done: Sequence[Extracted], numbers: dict[Source, int]
    ) -> Iterator[tuple[int, Extracted, bool]]:
        shard = self.shards.commit()
        for found in done:
            told = Extracted(
                found.source, problems=found.problems, shards=(shard,) if shard else (),
                seconds=found.seconds, frames=found.frames, peak=found.peak, last=found.last,
            )  # fmt: skip
            yield numbers[found.source], told, found.last


def features_digest(prepared: Prepared) -> str:
    """Of the specs of everything that makes features of videos."""
    specs = prepared.specs()
    return digest({str(need): specs[need].to_json() for need in sorted(prepared.of_video)})


class VideoStation(Station):
    """Makes videos with a generator that is opened once."""

    def __init__(self, equipment: Equipment, recipe: GeneratorRecipe) -> None:
        self.recipe = recipe
        super().__init__(equipment)

    def begin(self) -> str:
        self.generator = self.recipe.made()
        return self.generator.spec.digest

    def work(self, orders: Sequence[Order]) -> Iterator[tuple[int, tuple[Generation, float], bool]]:
        """What became of each order, as it is done."""
        at_once = max(1, min(self.equipment.workers, self.generator.concurrency))
        for number, made, seconds in made_by(self.generator, orders, at_once):
            yield number, (made, seconds), True

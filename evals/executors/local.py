"""On this machine: decoder processes run frame extractors and cut windows, a thread feeds the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.decoding.pool import DecoderJob, Event, Pool
from evals.decoding.resources import Resources
from evals.decoding.windows import Assembly
from evals.encoders.base import Encoder
from evals.encoders.device import Batcher, DeviceQueue, unload
from evals.errors import DoesNotApply, Reason
from evals.executors.base import Executor, Extracted, GeneratorRecipe, Problem, Source, Task
from evals.executors.making import Made, Order, made_by
from evals.generators.base import Generator
from evals.metrics.needs import Prepared
from evals.records import Need, Normalization
from evals.runs.facts import DecodedFacts
from evals.runs.features import Features


class LocalExecutor(Executor):
    """The pool of decoder processes and one device of a machine.

    A video is decoded once, or once for each group of encoders that fit onto the device together. Windows of
    all videos share batches of one fixed shape (the last is padded), so features don't depend on workers,
    order or kills.
    """

    def __init__(self, resources: Resources, device: str | None = None) -> None:
        """`device` is that of encoders, where it isn't the resources'."""
        self._resources, self._device = resources, device or resources.device

    def make(
        self, generator: Generator, recipe: GeneratorRecipe | None, orders: Sequence[Order]
    ) -> Iterator[Made]:
        at_once = generator.concurrency
        if not generator.waits:
            at_once = min(self._resources.at_once, at_once)
        yield from made_by(generator, orders, max(1, at_once))

    def extract(
        self, prepared: Prepared, normalization: Normalization, tasks: Sequence[Task], folder: Path
    ) -> Iterator[Extracted | None]:
        asked = {need.id for task in tasks for need in task.needs}
        wanted = {name: encoder for name, encoder in prepared.encoders.items() if name in asked}
        with DeviceQueue(self._device) as queue:
            groups = queue.groups(wanted)
            for group in groups:
                encoders = {name: wanted[name] for name in group}
                is_first, is_last = group is groups[0], group is groups[-1]
                one = _Pass(prepared, encoders, normalization, queue, is_first, is_last)
                yield from one.run(tasks, self._resources.pool)
                if not is_last:
                    unload(*encoders.values())


@dataclass(eq=False)
class _State:
    """One video on its way."""

    source: Source
    frames: list[str]
    encoders: list[str]
    attempt: int = 0
    windows: dict[str, Assembly] = field(default_factory=dict)
    encoded: dict[str, dict[int, dict[str, NDArray[np.float32]]]] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] | None = None
    head: Mapping[str, Any] = field(default_factory=dict)
    facts: DecodedFacts | None = None
    problems: dict[Need, Problem] = field(default_factory=dict)

    def need(self, name: str) -> Need:
        """What a frame extractor's, pair extractor's or encoder's features are called."""
        if self.source.other is not None:
            return Need("pair", name)
        return Need("frames" if name in self.frames else "encoder", name)

    def is_complete(self) -> bool:
        if self.arrays is None:
            return False
        waiting = [n for n in self.encoders if self.need(n) not in self.problems]
        return all(len(self.encoded.get(n, {})) == len(self.arrays[f"{n}/index"]) for n in waiting)

    def fail(self, problem: Problem, needs: Iterable[Need]) -> None:
        self.problems = dict.fromkeys(needs, problem)
        self.arrays, self.frames, self.encoders = {}, [], []

    def features(self) -> Iterator[tuple[Need, Features]]:
        """Features by need, of a complete video."""
        for name in self.frames:
            if self.need(name) not in self.problems:
                yield self.need(name), self._sent(name)
        for name in self.encoders:
            if self.need(name) not in self.problems:
                encoded = self.encoded[name]
                stacked = {k: np.stack([encoded[i][k] for i in range(len(encoded))]) for k in encoded[0]}
                yield self.need(name), {**stacked, **self._sent(name)}

    def _sent(self, owner: str) -> Features:
        """What the decoder sent of one extractor."""
        assert self.arrays is not None
        split = {key: key.rpartition("/") for key in self.arrays}
        return {array: self.arrays[key] for key, (name, _, array) in split.items() if name == owner}


class _Pass:
    """One pass over videos with the encoders that fit onto the device together."""

    def __init__(
        self, prepared: Prepared, encoders: Mapping[str, Encoder], normalization: Normalization,
        queue: DeviceQueue, is_first: bool, is_last: bool,
    ) -> None:  # fmt: skip
        self.prepared, self.encoders, self.normalization = prepared, encoders, normalization
        self.queue, self.is_first, self.is_last = queue, is_first, is_last
        self.batchers = {name: Batcher(encoder, queue) for name, encoder in encoders.items()}
        self.open: set[_State] = set()
        self.busy = queue.busy  # of the device, as far as it was told

    def run(self, tasks: Iterable[Task], pool: Pool) -> Iterator[Extracted | None]:
        """What becomes of each task, as it is done."""
        mine, idle = list[Task](), list[Task]()
        for task in tasks:
            (mine if self.is_first or self._encoders(task) else idle).append(task)
        yield from (Extracted(task.source) for task in idle if self.is_last)
        for event in pool.run(self._job(task) for task in mine):
            self._take(event)
            yield from self._complete() or (None,)
        for batcher in self.batchers.values():
            batcher.flush()
        yield from self._complete(wait=True)

    def _encoders(self, task: Task) -> list[str]:
        return [n.id for n in task.needs if n.id in self.encoders and n.kind in ("encoder", "pair")]

    def _job(self, task: Task) -> DecoderJob:
        """A task as a decoder's job."""
        source, made, encoders = task.source, self.encoders, self._encoders(task)
        of_encoders = self.prepared.encoders
        others = [n.id for n in task.needs if n.kind == "frames" or n.id not in of_encoders]
        frames = [name for name in others if self.is_first]
        specs = self.prepared.pairs if source.other else self.prepared.frames
        fields: dict[str, Any] = {
            "normalization": self.normalization.model_dump(mode="json"),
            "extractors": {n: [str(self.prepared.weights.get(n, "")), specs[n].digest] for n in frames},
            "windows": {n: [made[n].frames.to_json(), made[n].resize.to_json()] for n in encoders},
            "sha256": source.sha256,
        }
        if source.other is not None:
            fields |= {"other": str(source.other.path), "other_sha256": source.other.sha256}
        kind = "pair" if source.other else "extract"
        return DecoderJob(source.path, kind, _State(source, frames, encoders), fields)

    def _take(self, event: Event) -> None:
        state: _State = event.job.tag
        self.open.add(state)
        if event.error is not None:
            skip = isinstance(event.error, DoesNotApply)
            state.attempt += 1
            problem = Problem(skip, event.error.reason, str(event.error), event.error.transient)
            of_pair = state.source.other is not None
            state.fail(problem, self.prepared.of_pair if of_pair else self.prepared.of_video)
            return
        assert event.message is not None
        head, arrays = event.message.head, event.message.arrays
        if event.kind == "plan":
            state.windows = {name: Assembly(windows) for name, windows in head["windows"].items()}
        elif event.kind == "frames":
            for index, frame in zip(head["indices"], arrays["frames"], strict=True):
                for name in head["encoders"]:
                    for number, window in state.windows[name].add(index, frame):
                        self.batchers[name].add(state, state.attempt, number, window)
        elif event.kind == "window":
            self.batchers[head["encoder"]].add(state, state.attempt, head["number"], arrays["window"])
        elif event.kind == "restart":
            state.attempt += 1
            state.encoded = {}
        else:
            times = arrays.pop("/times")
            notes = tuple(head["notes"])
            state.facts = DecodedFacts(times, head["fps"], head["width"], head["height"], notes)
            state.arrays, state.head = arrays, head
            for name, (kind, reason, message) in head["problems"].items():
                again = kind == "again"
                state.problems[state.need(name)] = Problem(kind == "skip", Reason(reason), message, again)

    def _complete(self, wait: bool = False) -> list[Extracted]:
        """Take what the device has encoded; gives the videos that are complete."""
        for name, batcher in self.batchers.items():
            for one in batcher.encoded(wait):
                assert isinstance(one.owner, _State)
                if one.attempt == one.owner.attempt:
                    one.owner.encoded.setdefault(name, {})[one.number] = one.features
        done = [state for state in self.open if state.is_complete()]
        self.open.difference_update(done)
        return [self._extracted(state) for state in done]

    def _extracted(self, state: _State) -> Extracted:
        features = dict(state.features())
        for need in [need for need, arrays in features.items() if not arrays]:
            del features[need]
            message = f"{need} gives no features for this video"
            state.problems[need] = Problem(True, Reason.NO_FEATURES, message)
        seconds = dict(state.head.get("seconds", {}))
        seconds["encode"], self.busy = self.queue.busy - self.busy, self.queue.busy
        return Extracted(
            state.source, features, state.problems, state.facts, seconds=seconds,
            frames=int(state.head.get("frames", 0)), peak=int(state.head.get("peak", 0)), last=self.is_last,
        )  # fmt: skip

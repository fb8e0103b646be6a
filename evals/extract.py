"""Videos, or pairs of them, to features: an executor makes what is missing, the store keeps it.

One decode of a video serves every extractor that lacks features of it. Features are committed in shards;
`extract_features` reports a video only after its features are on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evals.encoders.base import Encoder, TextEncoder
from evals.encoders.device import actual
from evals.errors import DoesNotApply
from evals.executors import Executor, Extracted, Problem, Problems, Source, Task
from evals.metrics.needs import Needs, Prepared
from evals.records import Normalization
from evals.runs.facts import put_facts
from evals.runs.features import FeatureStore
from evals.runs.keys import facts_key, text_key

COMMIT_VIDEOS, COMMIT_BYTES, COMMIT_SECONDS = 64, 64 << 20, 10.0


@dataclass(frozen=True)
class Hooks:
    """What a pass calls: `complete` when all features of a video are there and before they are committed;
    `committed` with the needs that have no features, after; `advance` when a video is done, with whether
    something failed."""

    committed: Callable[[Source, Problems], None]
    complete: Callable[[Source, Problems], None] = lambda source, problems: None
    advance: Callable[[Source, bool], None] = lambda source, failed: None


@dataclass
class Cost:
    """What extraction took: seconds by stage, summed over processes (`decode`, `frames:NAME`, `windows:ID`,
    `send`: waiting for a reader, too; `encode`: the device's thread; `commit`), videos, frames, memory."""

    seconds: dict[str, float] = field(default_factory=dict)
    videos: int = 0
    frames: int = 0
    peak: int = 0  # resident bytes of the largest decoder process

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def __str__(self) -> str:
        stages = ", ".join(f"{k} {v:.2f} s" for k, v in sorted(self.seconds.items(), key=lambda x: -x[1]))
        return f"{self.videos} videos, {self.frames} frames; summed over processes: {stages}"


def encode_texts(
    texts: Sequence[str], encoders: Mapping[str, Encoder], store: FeatureStore, device: str
) -> dict[str, Problem]:
    """Encode the texts that the store lacks, with every encoder that has a text side.

    Gives, by text key, why an encoder has nothing for a text.
    """
    problems: dict[str, Problem] = {}
    loaded_on = ""
    for encoder in encoders.values():
        missing = sorted({t for t in texts if text_key(t, encoder.spec) not in store})
        if missing and isinstance(encoder, TextEncoder):
            loaded_on = loaded_on or actual(device)
            encoder.load(loaded_on)
            for text, features in zip(missing, encoder.encode_text(missing), strict=True):
                key = text_key(text, encoder.spec)
                if isinstance(features, DoesNotApply):
                    problems[key] = Problem(True, features.reason, str(features))
                else:
                    store.put(key, features)
    store.commit()
    return problems


def extract_features(
    sources: Iterable[Source],
    prepared: Prepared,
    store: FeatureStore,
    normalization: Normalization,
    executor: Executor,
    hooks: Hooks,
) -> Cost:
    """Bring the store up to date for `sources`.

    `hooks` are called once per source. Interrupted by an exception (Ctrl-C), what is complete is committed
    and reported first. Gives what it took.
    """
    needs = Needs(prepared.specs(), normalization)
    tasks = []
    for source in sources:
        wanted = prepared.of_pair if source.other else prepared.of_video
        missing = tuple(need for need in wanted if needs.key(need, source.of) not in store)
        tasks.append(Task(source, missing))
    keeping = _Keeping(store, needs, normalization, hooks)
    try:
        for found in executor.extract(prepared, normalization, tasks, store.folder):
            keeping.take(found)
    except KeyboardInterrupt:
        keeping.commit()
        raise
    keeping.commit()
    return keeping.cost


class _Keeping:
    """Puts what an executor gives into the store, commits it now and then, and reports it after that."""

    def __init__(self, store: FeatureStore, needs: Needs, normalization: Normalization, hooks: Hooks) -> None:
        self.store, self.needs, self.normalization, self.hooks = store, needs, normalization, hooks
        self.cost = Cost()
        self.parts: dict[Source, Problems] = {}  # problems of sources that come in several parts
        self.finished: list[tuple[Source, Problems]] = []
        self.committed = time.monotonic()

    def take(self, found: Extracted | None) -> None:
        """Take what became of a source; commit if it is time to."""
        if found is not None:
            self._put(found)
            self._count(found)
            problems = {**self.parts.pop(found.source, {}), **found.problems}
            if found.last:
                self.finished.append((found.source, problems))
                self.hooks.complete(found.source, problems)
                self.hooks.advance(found.source, any(not p.skip for p in problems.values()))
            else:
                self.parts[found.source] = problems
        due = time.monotonic() - self.committed > COMMIT_SECONDS
        if self.finished and (
            due or len(self.finished) >= COMMIT_VIDEOS or self.store.pending_bytes > COMMIT_BYTES
        ):
            self.commit()

    def _put(self, found: Extracted) -> None:
        for shard in found.shards:
            self.store.adopt(shard)
        for need, features in found.features.items():
            self.store.put(self.needs.key(need, found.source.of), features)
        name = found.source.name
        if found.facts is not None and facts_key(name, self.normalization) not in self.store:
            put_facts(self.store, name, self.normalization, found.facts)

    def _count(self, found: Extracted) -> None:
        for stage, seconds in found.seconds.items():
            self.cost.add(stage, seconds)
        self.cost.peak = max(self.cost.peak, found.peak)
        self.cost.frames += found.frames
        self.cost.videos += bool(found.frames)

    def commit(self) -> None:
        """Bring to the disk what was collected, then report whose it is."""
        started = time.monotonic()
        self.store.commit()
        self.committed = time.monotonic()
        self.cost.add("commit", self.committed - started)
        finished, self.finished = self.finished, []
        for source, problems in finished:
            self.hooks.committed(source, problems)

"""Videos, or pairs of them, to features: decoders run frame extractors and cut windows, the device encodes,
the store keeps.

One decode of a video serves every extractor that lacks features of it. Windows of all videos share batches of
one fixed shape (the last is padded), so features don't depend on workers, order or kills. Features are
committed in shards; `extract_features` reports a video only after its features are on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.decoding.pool import DecoderJob, Event, Pool
from evals.encoders.base import Encoder, TextEncoder
from evals.encoders.device import Batcher, DeviceQueue, actual, unload
from evals.errors import DoesNotApply, Reason
from evals.metrics.needs import Needs, Prepared, VideoAndText
from evals.records import Need, Normalization
from evals.runs.facts import DecodedFacts, put_facts
from evals.runs.features import Features, FeatureStore
from evals.runs.keys import facts_key, text_key

COMMIT_VIDEOS, COMMIT_BYTES, COMMIT_SECONDS = 64, 64 << 20, 10.0


@dataclass(frozen=True)
class Source:
    """A video by its bytes, and where they lie; of a pair also the `other` one."""

    sha256: str
    path: Path
    other: Source | None = None

    @property
    def name(self) -> str:
        """What is known of the source is kept under this name: its hash, or both of a pair."""
        return self.sha256 if self.other is None else f"{self.sha256}:{self.other.sha256}"

    @property
    def of(self) -> VideoAndText:
        """What its features are of."""
        return VideoAndText(self.sha256, other=self.other.sha256 if self.other else "")


@dataclass(frozen=True)
class Problem:
    """Why there are no features of a need for a video; `skip` where none can be expected."""

    skip: bool
    reason: Reason
    message: str
    transient: bool = False


Problems = Mapping[Need, Problem]


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


@dataclass(eq=False)
class _State:
    """One video on its way."""

    source: Source
    frames: list[str]
    encoders: list[str]
    attempt: int = 0
    encoded: dict[str, dict[int, dict[str, NDArray[np.float32]]]] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] | None = None
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
        self,
        prepared: Prepared,
        store: FeatureStore,
        normalization: Normalization,
        queue: DeviceQueue,
        hooks: Hooks,
        cost: Cost,
    ) -> None:
        self.prepared, self.store, self.normalization = prepared, store, normalization
        self.hooks, self.cost = hooks, cost
        self.needs = Needs(prepared.specs(), normalization)
        self.batchers = {n: Batcher(e, queue) for n, e in prepared.encoders.items()}
        self.open: set[_State] = set()
        self.finished: list[_State] = []
        self.committed = time.monotonic()

    def run(self, sources: Sequence[Source], pool: Pool) -> None:
        """Bring the store up to date. Interrupted by Ctrl-C, what is complete is committed first."""
        try:
            for event in pool.run(self._job(source) for source in sources):
                self._take(event)
        except KeyboardInterrupt:
            self._commit()
            raise
        for batcher in self.batchers.values():
            batcher.flush()
        self._settle(wait=True)
        self._commit()

    def _job(self, source: Source) -> DecoderJob:
        """What is missing of a video, as a decoder's job."""
        wanted = self.prepared.of_pair if source.other else self.prepared.of_video
        missing = [need for need in wanted if self.needs.key(need, source.of) not in self.store]
        made = self.prepared.encoders
        encoders = [need.id for need in missing if need.id in made and need.kind in ("encoder", "pair")]
        frames = [need.id for need in missing if need.kind != "encoder" and need.id not in encoders]
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
            self._settle()
            return
        assert event.message is not None
        head, arrays = event.message.head, event.message.arrays
        if event.kind == "window":
            self.batchers[head["encoder"]].add(state, state.attempt, head["number"], arrays["window"])
        elif event.kind == "restart":
            state.attempt += 1
            state.encoded = {}
        else:
            times = arrays.pop("/times")
            notes = tuple(head["notes"])
            state.facts = DecodedFacts(times, head["fps"], head["width"], head["height"], notes)
            state.arrays = arrays
            self._count(head)
            for name, (kind, reason, message) in head["problems"].items():
                again = kind == "again"
                state.problems[state.need(name)] = Problem(kind == "skip", Reason(reason), message, again)
        self._settle()

    def _count(self, head: Mapping[str, Any]) -> None:
        self.cost.peak = max(self.cost.peak, head["peak"])
        for stage, seconds in head["seconds"].items():
            self.cost.add(stage, seconds)
        self.cost.videos, self.cost.frames = self.cost.videos + 1, self.cost.frames + head["frames"]

    def _settle(self, wait: bool = False) -> None:
        """Take what the device has encoded, and put away the videos that are complete."""
        for name, batcher in self.batchers.items():
            for one in batcher.encoded(wait):
                assert isinstance(one.owner, _State)
                if one.attempt == one.owner.attempt:
                    one.owner.encoded.setdefault(name, {})[one.number] = one.features
        for state in [s for s in self.open if s.is_complete()]:
            self.open.remove(state)
            self.finished.append(state)
            self._put(state)
        due = time.monotonic() - self.committed > COMMIT_SECONDS
        if self.finished and (
            due or len(self.finished) >= COMMIT_VIDEOS or self.store.pending_bytes > COMMIT_BYTES
        ):
            self._commit()

    def _put(self, state: _State) -> None:
        for need, features in state.features():
            if features:
                self.store.put(self.needs.key(need, state.source.of), features)
            else:
                message = f"{need} gives no features for this video"
                state.problems[need] = Problem(True, Reason.NO_FEATURES, message)
        name = state.source.name
        if state.facts is not None and facts_key(name, self.normalization) not in self.store:
            put_facts(self.store, name, self.normalization, state.facts)
        state.encoded, state.arrays = {}, {}
        self.hooks.complete(state.source, state.problems)
        self.hooks.advance(state.source, any(not p.skip for p in state.problems.values()))

    def _commit(self) -> None:
        started = time.monotonic()
        self.store.commit()
        self.committed = time.monotonic()
        self.cost.add("commit", self.committed - started)
        finished, self.finished = self.finished, []
        for state in finished:
            self.hooks.committed(state.source, state.problems)


def extract_features(
    sources: Sequence[Source],
    prepared: Prepared,
    store: FeatureStore,
    normalization: Normalization,
    pool: Pool,
    device: str,
    hooks: Hooks,
) -> Cost:
    """Bring the store up to date for `sources`. `device` may be `auto`.

    A video is decoded once, or once for each group of encoders that fit onto the device together. `hooks` are
    called once per source, in the pass that is its last. Interrupted by an exception (Ctrl-C), what is
    complete is committed and reported first. Gives what it took.
    """
    cost = Cost()
    needs = Needs(prepared.specs(), normalization)
    wanted = {
        name: encoder
        for name, encoder in prepared.encoders.items()
        if any(
            needs.key(Need("pair" if source.other else "encoder", name), source.of) not in store
            for source in sources
        )
    }
    before: dict[Source, Problems] = {}

    def merged(hook: Callable[[Source, Problems], None]) -> Callable[[Source, Problems], None]:
        return lambda source, problems: hook(source, {**before.get(source, {}), **problems})

    last_hooks = Hooks(merged(hooks.committed), merged(hooks.complete), hooks.advance)
    with DeviceQueue(device) as queue:
        *earlier, last = queue.groups(wanted)
        frames, pairs = prepared.frames, prepared.pairs
        for group in earlier:
            part = Prepared(frames, prepared.weights, {name: wanted[name] for name in group}, pairs=pairs)
            _Pass(part, store, normalization, queue, Hooks(before.__setitem__), cost).run(sources, pool)
            unload(*part.encoders.values())
            frames, pairs = {}, {}
        part = Prepared(frames, prepared.weights, {name: wanted[name] for name in last}, pairs=pairs)
        _Pass(part, store, normalization, queue, last_hooks, cost).run(sources, pool)
        cost.add("encode", queue.busy)
    return cost

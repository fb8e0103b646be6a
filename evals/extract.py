"""Videos to rows: decoders fold and cut, the device encodes, the store keeps.

One decode of a video serves every extractor that is missing rows for it. Windows of all videos share
batches of one fixed shape (the last is padded), so rows don't depend on workers, order or kills. Rows
are committed in shards; `extract` reports a video only after its rows are on the disk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.batching import Batcher, Lane, actual, unload
from evals.decoding.pool import Event, Job, Pool
from evals.encoders import Encoder, TextEncoder
from evals.errors import DoesNotApply
from evals.features import FeatureStore, Rows
from evals.folds import FOLDS
from evals.records import Spec, View, digest

COMMIT_VIDEOS, COMMIT_BYTES, COMMIT_SECONDS = 64, 64 << 20, 10.0


@dataclass(frozen=True)
class Extractors:
    """What is to be extracted: folds by name, encoders by id."""

    folds: tuple[str, ...] = ()
    encoders: Mapping[str, Encoder] = field(default_factory=dict)

    def specs(self, texts: Iterable[str] = ()) -> dict[str, Spec]:
        """Specs by need: `fold:NAME`, `encoder:ID`, `text:ID`, `cross:ID`, and `texts:ID`, which is tied to
        all the texts of a run."""
        found = {f"fold:{name}": FOLDS.get(name).spec for name in self.folds}
        for name, encoder in self.encoders.items():
            for kind in ("encoder", "text", "cross"):
                found[f"{kind}:{name}"] = encoder.spec
            params = {"encoder": encoder.spec.digest, "prompts": digest(sorted(set(texts)))}
            found[f"texts:{name}"] = Spec(name="texts", params=params)
        return found


@dataclass(frozen=True)
class Source:
    """A video by its bytes, and where they lie."""

    sha256: str
    path: Path


@dataclass(frozen=True)
class Problem:
    """Why a need has no rows for a video."""

    skip: bool
    reason: str
    transient: bool = False


Problems = dict[str, Problem]


@dataclass
class Cost:
    """What extraction took: seconds by stage, summed over processes (`decode`, `fold:NAME`, `sample:ID`,
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


def feature_key(sha256: str, spec: Spec, view: View) -> str:
    """Key of a video's rows: its bytes, the extractor with all that shapes it, the view."""
    return digest(["feature", sha256, spec.to_json(), str(view)])


def text_key(text: str, spec: Spec) -> str:
    """Key of a text's features."""
    return digest(["text", text, spec.to_json()])


def notes_key(sha256: str, view: View) -> str:
    """Key of what decoding had to say of a video."""
    return digest(["notes", sha256, str(view)])


def read_notes(store: FeatureStore, sha256: str, view: View) -> tuple[str, ...]:
    """What decoding had to say of a video beyond its facts."""
    key = notes_key(sha256, view)
    return tuple(json.loads(store.get(key)["json"].tobytes())) if key in store else ()


def extract_texts(
    texts: Sequence[str], extractors: Extractors, store: FeatureStore, device: str
) -> dict[str, Problem]:
    """Encode the texts that the store lacks, with every encoder that has a text side.

    Gives, by text key, why an encoder has nothing for a text.
    """
    problems: dict[str, Problem] = {}
    there = ""
    for encoder in extractors.encoders.values():
        missing = sorted({t for t in texts if text_key(t, encoder.spec) not in store})
        if missing and isinstance(encoder, TextEncoder):
            there = there or actual(device)
            encoder.load(there)
            for text, rows in zip(missing, encoder.encode_text(missing), strict=True):
                key = text_key(text, encoder.spec)
                if isinstance(rows, DoesNotApply):
                    problems[key] = Problem(True, str(rows))
                else:
                    store.put(key, rows)
    store.commit()
    return problems


@dataclass(eq=False)
class _State:
    """One video on its way."""

    source: Source
    folds: list[str]
    encoders: list[str]
    attempt: int = 0
    encoded: dict[str, dict[int, dict[str, NDArray[np.float32]]]] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] | None = None
    problems: Problems = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def complete(self) -> bool:
        if self.arrays is None:
            return False
        waiting = [n for n in self.encoders if f"encoder:{n}" not in self.problems]
        return all(len(self.encoded.get(n, {})) == len(self.arrays[f"{n}/index"]) for n in waiting)

    def fail(self, problem: Problem) -> None:
        needs = [f"fold:{n}" for n in self.folds] + [f"encoder:{n}" for n in self.encoders]
        self.problems = dict.fromkeys(needs, problem)
        self.arrays, self.folds, self.encoders = {}, [], []

    def rows(self) -> Iterator[tuple[str, Rows]]:
        """Rows by need, of a complete video."""
        assert self.arrays is not None

        def sent(name: str) -> Rows:
            assert self.arrays is not None
            split = {k: k.rpartition("/") for k in self.arrays}
            return {row: self.arrays[k] for k, (owner, _, row) in split.items() if owner == name}

        for name in self.folds:
            if f"fold:{name}" not in self.problems:
                yield f"fold:{name}", sent(name)
        for name in self.encoders:
            if f"encoder:{name}" not in self.problems:
                encoded = self.encoded[name]
                rows = {k: np.stack([encoded[i][k] for i in range(len(encoded))]) for k in encoded[0]}
                yield f"encoder:{name}", {**rows, **sent(name)}


class _Extraction:
    def __init__(
        self,
        extractors: Extractors,
        store: FeatureStore,
        view: View,
        lane: Lane,
        report: Callable[[Source, Problems], None],
        progress: Callable[[Source, bool], None] | None,
        cost: Cost,
    ) -> None:
        self.cost = cost
        self.extractors, self.store, self.view = extractors, store, view
        self.report, self.progress = report, progress
        self.specs = extractors.specs()
        self.batchers = {n: Batcher(e, lane) for n, e in extractors.encoders.items()}
        self.open: set[_State] = set()
        self.finished: list[_State] = []
        self.committed = time.monotonic()

    def job(self, source: Source) -> Job:
        """What is missing of a video, as a decoder's job."""

        def missing(need: str) -> bool:
            return feature_key(source.sha256, self.specs[need], self.view) not in self.store

        folds = [n for n in self.extractors.folds if missing(f"fold:{n}")]
        encoders = [n for n in self.extractors.encoders if missing(f"encoder:{n}")]
        state = _State(source, folds, encoders)
        samplings = {n: self.extractors.encoders[n].sampling.model_dump(mode="json") for n in encoders}
        view = self.view.model_dump(mode="json")
        fields = {"view": view, "folds": folds, "samplings": samplings, "sha256": source.sha256}
        return Job(source.path, "extract", state, fields)

    def take(self, event: Event) -> None:
        state: _State = event.job.tag
        self.open.add(state)
        if event.error is not None:
            skip = isinstance(event.error, DoesNotApply)
            state.attempt += 1
            state.fail(Problem(skip, str(event.error), event.error.transient))
            self._settle()
            return
        assert event.message is not None
        head, arrays = event.message.head, event.message.arrays
        if event.kind == "window":
            name = head["encoder"]
            self.batchers[name].add(state, state.attempt, head["number"], arrays["window"])
        elif event.kind == "restart":
            state.attempt += 1
            state.encoded = {}
        else:
            state.arrays, state.notes = arrays, tuple(head["notes"])
            self.cost.peak = max(self.cost.peak, head["peak"])
            for stage, seconds in head["seconds"].items():
                self.cost.add(stage, seconds)
            self.cost.videos, self.cost.frames = self.cost.videos + 1, self.cost.frames + head["frames"]
            for name, (kind, reason) in head["problems"].items():
                family = "fold" if name in state.folds else "encoder"
                state.problems[f"{family}:{name}"] = Problem(kind == "skip", reason)
        self._settle()

    def _settle(self, wait: bool = False) -> None:
        for name, batcher in self.batchers.items():
            for one in batcher.encoded(wait):
                assert isinstance(one.owner, _State)
                if one.attempt == one.owner.attempt:
                    one.owner.encoded.setdefault(name, {})[one.number] = one.rows
        for state in [s for s in self.open if s.complete()]:
            self.open.remove(state)
            self.finished.append(state)
            for need, rows in state.rows():
                if rows:
                    self.store.put(feature_key(state.source.sha256, self.specs[need], self.view), rows)
                else:
                    state.problems[need] = Problem(True, f"{need} has nothing to say of this video")
            if state.notes:
                data = np.frombuffer(json.dumps(state.notes).encode(), np.uint8)
                self.store.put(notes_key(state.source.sha256, self.view), {"json": data})
            state.encoded, state.arrays = {}, {}
            if self.progress:
                self.progress(state.source, any(not p.skip for p in state.problems.values()))
        due = time.monotonic() - self.committed > COMMIT_SECONDS
        if self.finished and (
            due or len(self.finished) >= COMMIT_VIDEOS or self.store.pending_bytes > COMMIT_BYTES
        ):
            self.commit()

    def flush(self) -> None:
        """Encode what waits in part-filled batches and commit everything."""
        for batcher in self.batchers.values():
            batcher.flush()
        self._settle(wait=True)
        self.commit()

    def commit(self) -> None:
        started = time.monotonic()
        self.store.commit()
        self.committed = time.monotonic()
        self.cost.add("commit", self.committed - started)
        finished, self.finished = self.finished, []
        for state in finished:
            self.report(state.source, state.problems)


def extract(
    sources: Sequence[Source],
    extractors: Extractors,
    store: FeatureStore,
    view: View,
    pool: Pool,
    device: str,
    report: Callable[[Source, Problems], None],
    progress: Callable[[Source, bool], None] | None = None,
) -> Cost:
    """Bring the store up to date for `sources`. `device` may be `auto`.

    A video is decoded once, or once for each group of encoders that fit onto the device together.
    `report` is called once per source, after its rows are committed, with the needs that have none and
    why; `progress` when a source is through, with whether something failed. Interrupted by an exception
    (Ctrl-C), what is complete is committed and reported first. Gives what it took.
    """
    cost = Cost()
    wanted = {
        name: encoder
        for name, encoder in extractors.encoders.items()
        if any(feature_key(source.sha256, encoder.spec, view) not in store for source in sources)
    }
    before: dict[Source, Problems] = {}

    def merged(source: Source, problems: Problems) -> None:
        report(source, {**before.get(source, {}), **problems})

    with Lane(device) as lane:
        *earlier, last = lane.groups(wanted)
        folds = extractors.folds
        for group in earlier:
            part = Extractors(folds, {name: wanted[name] for name in group})
            work = _Extraction(part, store, view, lane, before.__setitem__, None, cost)
            _pass(work, sources, pool)
            unload(*part.encoders.values())
            folds = ()
        part = Extractors(folds, {name: wanted[name] for name in last})
        _pass(_Extraction(part, store, view, lane, merged, progress, cost), sources, pool)
        cost.add("encode", lane.busy)
    return cost


def _pass(work: _Extraction, sources: Sequence[Source], pool: Pool) -> None:
    try:
        for event in pool.run(work.job(source) for source in sources):
            work.take(event)
    except KeyboardInterrupt:
        work.commit()
        raise
    work.flush()

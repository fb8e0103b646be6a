"""A run folder: one generator on prompts and seeds, its samples, features and scores.

::

    run.json                 what was asked, of whom, which metrics were computed how, on which machines
    prompts/<digest>.json    every prompt set that was asked for, once
    samples/<writer>.jsonl   one line per sample, after its video is in place
    scores/<writer>.jsonl    one line per video with its scores, after their features are committed
    answers/<writer>.jsonl   one line per answer of a judge, as it came
    features/                immutable shards
    videos/                  what the generator wrote
    .index/                  what large journals say, by column; made anew where it is gone
    writers/<writer>.json    what `run.json` holds, of the writer of a shard

The writer is `main`, or one for each shard of the prompts. Prompts, seeds and metrics may grow; another
generator or other settings in the same folder are an error. Readers take no lock and write nothing.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.errors import OutsideRun, RunError, RunMismatch, UsageError
from evals.records import MetricInfo, Prompt, PromptSet, Sample, Score, Settings, Spec
from evals.runs import journal, origin
from evals.runs.current import SampleId, Samples, Values
from evals.runs.features import FeatureStore
from evals.runs.index import FOLDER, Index, is_large, lags
from evals.runs.info import (
    RunInfo,
    RunStatus,
    create_info,
    info_file,
    joined,
    read_info,
    read_json,
    unfinished,
    valid,
    write_info,
    writers_of,
)
from evals.runs.keys import fields_digest, metric_digest
from evals.runs.lock import held
from evals.runs.reading import as_score, read_samples, read_values
from evals.runs.secrets import redacted
from evals.runs.segments import MAIN, Segments, Shard, shard_of

log = logging.getLogger(__name__)


class RunFolder:
    """A run folder, for reading; `writing` gives the lock and the right to append, for the whole run or for a
    `shard` of its prompts.

    Files outside of the run that another user recorded are opened with `allow_outside` only."""

    def __init__(self, path: Path, allow_outside: bool = False, shard: Shard | None = None) -> None:
        self.path, self.allow_outside, self.shard = path, allow_outside, shard
        self.writer = shard.writer if shard else MAIN
        self.segments = Segments(path, self.writer)
        self._read()

    def _read(self) -> None:
        """Read the records of all writers."""
        main = self._main = read_info(self.path)
        self._parts = {name: read_info(self.path, name) for name in writers_of(self.path)}
        self.info = joined(main, list(self._parts.values()))
        self._own = self.info
        if self.shard:
            new: dict[str, Any] = {"status": "started", "generated": None, "scored": {}}
            self._own = self._parts.get(self.writer, main.model_copy(update=new))

    @property
    def features(self) -> Path:
        return self.path / "features"

    @cached_property
    def stored(self) -> FeatureStore:
        """The features that were there when this was first asked for; for reading."""
        return FeatureStore(self.features)

    @property
    def videos(self) -> Path:
        return self.path / "videos"

    @property
    def status(self) -> RunStatus:
        """How far this writer is."""
        return self._own.status

    @property
    def unfinished(self) -> list[str]:
        """The shards that have not done all of theirs, such as `3/8`."""
        return unfinished(self._parts.items())

    def written(self) -> list[tuple[str, RunInfo]]:
        """The record of each writer, by its name."""
        return [(MAIN, self._main), *self._parts.items()]

    def mine(self, prompt_ids: Sequence[str]) -> set[str]:
        """Those of some prompts that this writer is to work on: all, or every n-th of the run's."""
        asked = set(prompt_ids)
        return asked & self.shard.of([*self.prompts, *prompt_ids]) if self.shard else asked

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """Every prompt that was ever asked for, by id, in order; a corrected one replaces the older."""
        found: dict[str, Prompt] = {}
        for name in self.info.prompt_sets:
            path = self.path / "prompts" / f"{name}.json"
            held = valid(PromptSet, read_json(path, self.path), str(path))
            if held.digest != name:
                raise RunError(f"{path}: is damaged or was edited: it holds other prompts than its name says")
            found |= {prompt.id: prompt for prompt in held.prompts}
        return found

    def sample_ids(self) -> list[SampleId]:
        """Every (prompt id, seed) that was ever asked for, in order."""
        return [(p, seed) for p in self.prompts for seed in self.info.seeds.get(p, ())]

    def update(self, **changes: Any) -> None:
        """Replace fields of this writer's record; only while writing."""
        self._own = self._own.model_copy(update=changes)
        write_info(self.path, self._own, self.writer)
        self.info = self._own
        if self.shard:
            self._parts[self.writer] = self._own
            self.info = joined(self._main, list(self._parts.values()))

    def add(self, wanted: Sequence[tuple[Prompt, int]]) -> None:
        """Take prompts and seeds in, beside those that are there; only while writing."""
        asked = {prompt.id: prompt for prompt, _ in wanted}
        seeds = {k: set(v) for k, v in self.info.seeds.items()}
        for prompt, seed in wanted:
            seeds.setdefault(prompt.id, set()).add(seed)
        sets = self.info.prompt_sets
        if any(self.prompts.get(p.id) != p for p in asked.values()):
            new = PromptSet(name=self.info.name, prompts=tuple(asked.values()))
            place = self.path / "prompts" / f"{new.digest}.json"
            journal.write_atomically(place, json.dumps(new.to_json(), ensure_ascii=False).encode())
            sets = (*(s for s in sets if s != new.digest), new.digest)
            self.__dict__.pop("prompts", None)
        self.update(prompt_sets=sets, seeds={k: tuple(sorted(v)) for k, v in seeds.items()})

    @property
    def _index(self) -> Index:
        return Index(self.path, self.info.id, self.info.prompt_sets)

    def samples(self) -> Samples:
        """The current sample of every (prompt, seed) that has one (`reading.read_samples`)."""
        segments = self.segments.all("samples")
        known = self._index.samples(segments, self.info.seeds)
        return read_samples(segments, self.prompts, self.info.seeds, known)

    def video_path(self, sample: Sample) -> Path:
        """Where a sample's video lies: inside the run, or where the user keeps it. Raises `OutsideRun` for a
        file elsewhere that another user recorded."""
        if sample.video is None:
            raise ValueError(f"sample {sample.prompt_id}/{sample.seed} has no video")
        place = self.path / sample.video
        if self.allow_outside or _is_inside(place, self._root) or origin.is_ours(place, sample.origin):
            return place
        raise OutsideRun(
            f"{self.path}: sample {sample.prompt_id}, seed {sample.seed}, names a file outside of the run,"
            " and it was not you on this machine who recorded it; if these files may be opened, add"
            " --allow-outside (to `folder:` as a generator: -o allow_outside=true)"
        )

    @cached_property
    def _root(self) -> Path:
        return self.path.resolve()

    def values(self, normalization: str, samples: Samples | None = None) -> Values:
        """Current scores under one normalization (`reading.read_values`)."""
        samples = self.samples() if samples is None else samples
        segments = self.segments.all("scores")
        metrics = self.info.metrics.get(normalization, {})
        known = self._index.values(segments, normalization, _digests(metrics), samples)
        return read_values(segments, normalization, metrics, self.prompts, samples, known)

    def keep_index(self) -> None:
        """Write what large journals say by column (`runs.index`), where much was added; only while writing
        the whole run. It is never needed, so a failure is logged and costs nothing else."""
        of_samples, of_scores = self.segments.all("samples"), self.segments.all("scores")
        is_link = (self.path / FOLDER).is_symlink() and not self.allow_outside
        if self.shard or is_link or not (is_large(of_samples) or is_large(of_scores)):
            return
        try:
            samples = self.samples()
            if lags(of_samples, samples.known):
                self._index.write_samples(samples)
            for name, metrics in self.info.metrics.items():
                values = self.values(name, samples)
                if lags(of_scores, values.known):
                    self._index.write_values(name, _digests(metrics), samples, values)
        except Exception as error:  # noqa: BLE001 - of Arrow, or of the disk
            log.warning("%s: its index was not written: %s", self.path, error)

    def scores(self, normalization: str, samples: Samples | None = None) -> dict[SampleId, dict[str, Score]]:
        """The same as whole records."""
        infos = self.info.metrics.get(normalization, {})
        stamps = {name: (metric_digest(info), info.reads) for name, info in infos.items()}
        found: dict[SampleId, dict[str, Score]] = {}
        for at, values in self.values(normalization, samples).items():
            found[at] = {}
            for name, value in values.items():
                digest, reads = stamps[name]
                found[at][name] = as_score(value, digest, fields_digest(self.prompts[at[0]], reads))
        return found

    @contextmanager
    def writing(self) -> Iterator[RunFolder]:
        """Hold the run's lock, or the shard's; it is the kernel's and ends with the process."""
        for name in ("features", "videos", "prompts", FOLDER):
            if (self.path / name).is_symlink() and not self.allow_outside:
                raise OutsideRun(
                    f"{self.path / name}: is a link, so that writing to the run would write elsewhere; if"
                    " that is meant, add --allow-outside"
                )
        with held(self.path, self.writer):
            self._read()
            self._refuse_another_split()
            self.__dict__.pop("prompts", None)
            yield self

    def _refuse_another_split(self) -> None:
        """Shards of one run are of one split."""
        others = [shard for name in self._parts if (shard := shard_of(name)) is not None]
        if self.shard and (other := next((s for s in others if s.count != self.shard.count), None)):
            raise RunMismatch(
                f"{self.path}: was split into {other.count} shards, and {self.shard} is not one of them;"
                f" give --shard N/{other.count}, or join what is there first with `t2v-evals merge`"
            )


def _digests(metrics: Mapping[str, MetricInfo]) -> dict[str, str]:
    return {name: f"{metric_digest(info)} {' '.join(info.reads)}" for name, info in metrics.items()}


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a link to itself
        return False


def create(
    path: Path, label: str, generator: Spec, settings: Settings, shard: Shard | None = None
) -> RunFolder:
    """Make a run folder, or open the one that is there if it holds the same run. Several processes may do so
    at once.

    Raises `RunMismatch` where the folder holds a run of another generator or other settings.
    """
    generator = Spec.model_validate(redacted(generator.model_dump()))  # as it is recorded
    try:
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: is a file; a run needs a folder")
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name cannot be written"
        raise RunError(f"{path}: cannot be made: {reason}; choose another --out or --name") from None
    with held(path, shard.writer if shard else MAIN):
        if not info_file(path).exists():
            strangers = [p for p in path.glob("[!.]*") if p.name != "features" or any(p.iterdir())]
            if strangers and not info_file(path).exists():
                raise RunMismatch(f"{path}: holds other files and no run.json; choose an empty or new folder")
            made = {"id": secrets.token_hex(8), "name": path.name, "label": label}
            create_info(path, RunInfo(**made, generator=generator, settings=settings))
        (path / "features").mkdir(exist_ok=True)
        run = RunFolder(path, shard=shard)
        if run.info.generator != generator:
            raise RunMismatch(_mismatch(run, label, generator))
        if run.info.settings != settings:
            raise RunMismatch(
                f"{path}: was made with {run.info.settings.to_json() or 'default settings'}, not"
                f" {settings.to_json() or 'default settings'}; use another --name"
            )
    return run


FILES = {"code_sha256", "files"}
"""Parameters of a generator that hold its files' hashes."""


def _mismatch(run: RunFolder, label: str, generator: Spec) -> str:
    """Why a folder is no place for a generator's run."""
    before = run.info.generator
    keys = {*before.params, *generator.params}
    changed = {key for key in keys if before.params.get(key) != generator.params.get(key)}
    if run.info.label == label and before.name == generator.name and changed and changed <= FILES:
        return (
            f"{run.path}: the file of {label} has changed since this run was made; give the new one a --name"
            " of its own, or begin again with --restart, which keeps the old run beside it"
        )
    return (
        f"{run.path}: holds a run of {run.info.label} ({before.digest[:8]}), not of {label}"
        f" ({generator.digest[:8]}); use another --name or --out"
    )


def set_aside(path: Path) -> Path | None:
    """Rename a run that is to be made anew to `NAME-before-1` and so on; gives its new place, None where
    there is no run. Raises `RunError`."""
    if not (path / "run.json").exists():
        return None
    number = 1
    while (place := path.with_name(f"{path.name}-before-{number}")).exists():
        number += 1
    with held(path):
        try:
            path.rename(place)
        except OSError as error:
            raise RunError(f"{path}: cannot be renamed: {error.strerror}") from None
    return place

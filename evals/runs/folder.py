"""A run folder: one generator on prompts and seeds, its samples, features and scores.

::

    run.json                 what was asked, of whom, which metrics were computed how, on which machines
    prompts/<digest>.json    every prompt set that was asked for, once
    samples.jsonl            one line per sample, after its video is in place
    scores.jsonl             one line per video with its scores, after their features are committed
    answers.jsonl            one line per answer of a judge, as it came
    features/                immutable shards
    videos/                  what the generator wrote

Prompts, seeds and metrics may grow; another generator or other settings in the same folder are an error.
Readers take no lock and write nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from evals.errors import OutsideRun, RunError, RunMismatch, UsageError
from evals.records import (
    SCHEMA,
    Calibration,
    MetricInfo,
    Prompt,
    PromptSet,
    Record,
    Sample,
    Score,
    ScoreLine,
    Settings,
    Spec,
    digest,
    explain,
    is_regular,
)
from evals.runs import journal, origin
from evals.runs.keys import fields_digest, metric_digest, text_digest
from evals.runs.lock import held
from evals.runs.provenance import Provenance
from evals.runs.secrets import redacted

SampleId = tuple[str, int]
"""Prompt id and seed."""
R = TypeVar("R", bound=Record)
MAX_JSON = 500_000_000  # bytes


class RunInfo(Record):
    """The contents of `run.json`.

    `id` is random: journals carry it, so that lines of two runs cannot mix. `prompt_sets` are digests, oldest
    first; `seeds` the seeds of every prompt by its id; `metrics` the record of every metric by normalization
    and id; `generated` and `scored` (by normalization) where and when the work was last done; `calibrations`
    what was measured of each judge, by its spec's digest.
    """

    schema_: int = Field(default=SCHEMA, alias="schema")
    id: str = ""
    name: str
    label: str
    generator: Spec
    settings: Settings = Settings()
    prompt_sets: tuple[str, ...] = ()
    seeds: dict[str, tuple[int, ...]] = {}
    metrics: dict[str, dict[str, MetricInfo]] = {}
    generated: Provenance | None = None
    scored: dict[str, Provenance] = {}
    calibrations: dict[str, Calibration] = {}
    status: Literal["started", "generated", "scored"] = "started"

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RunFolder:
    """A run folder, for reading; `writing` gives the lock and the right to append.

    Files outside of the run that another user recorded are opened with `allow_outside` only."""

    def __init__(self, path: Path, allow_outside: bool = False) -> None:
        self.path, self.allow_outside = path, allow_outside
        self.info = self._read_info()

    @property
    def features(self) -> Path:
        return self.path / "features"

    @property
    def videos(self) -> Path:
        return self.path / "videos"

    def _read_info(self) -> RunInfo:
        path = self.path / "run.json"
        data = _read_json(path, self.path)
        if not isinstance(data, dict):
            raise RunError(f"{path}: is not a run's record")
        journal.check_schema(data, str(path))
        if data.pop("check", None) != digest(data):
            raise RunError(
                f"{path}: is damaged or was edited: its check does not hold; restore it from a copy"
            )
        return _valid(RunInfo, data, str(path))

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """Every prompt that was ever asked for, by id, in order; a corrected one replaces the older."""
        found: dict[str, Prompt] = {}
        for name in self.info.prompt_sets:
            path = self.path / "prompts" / f"{name}.json"
            held = _valid(PromptSet, _read_json(path, self.path), str(path))
            if held.digest != name:
                raise RunError(f"{path}: is damaged or was edited: it holds other prompts than its name says")
            found |= {prompt.id: prompt for prompt in held.prompts}
        return found

    def sample_ids(self) -> list[SampleId]:
        """Every (prompt id, seed) that was ever asked for, in order."""
        return [(p, seed) for p in self.prompts for seed in self.info.seeds.get(p, ())]

    def update(self, **changes: Any) -> None:
        """Replace fields of `run.json`; only while writing."""
        self.info = self.info.model_copy(update=changes)
        _write_info(self.path, self.info)

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

    def samples(self) -> dict[SampleId, Sample]:
        """The current sample of every (prompt, seed) that has one; the last record holds.

        A sample made from other words than the prompt has now is stale and left out.
        """
        words = {p.id: text_digest(p) for p in self.prompts.values()}
        found: dict[SampleId, Sample] = {}
        path = self.path / "samples.jsonl"
        for number, record in journal.read(path):
            sample = _valid(Sample, record, f"{path}:{number}")
            if sample.seed not in self.info.seeds.get(sample.prompt_id, ()):
                raise RunError(
                    f"{path}:{number}: run.json does not have prompt {sample.prompt_id}, seed {sample.seed}:"
                    " it is older than this file; restore the newer one"
                )
            if sample.text_digest == words.get(sample.prompt_id):
                found[sample.prompt_id, sample.seed] = sample
            else:
                found.pop((sample.prompt_id, sample.seed), None)
        return found

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

    def scores(
        self, normalization: str, samples: Mapping[SampleId, Sample] | None = None
    ) -> dict[SampleId, dict[str, Score]]:
        """Current scores under one normalization: of the sample's bytes, the metric's version and the
        prompt's values as they are now. Of several, `ok` wins, then the latest."""
        metrics = self.info.metrics.get(normalization, {})
        digests = {name: metric_digest(info) for name, info in metrics.items()}
        fields = {
            (p.id, name): fields_digest(p, info.reads)
            for p in self.prompts.values()
            for name, info in metrics.items()
        }
        samples = self.samples() if samples is None else samples
        found: dict[SampleId, dict[str, Score]] = {}
        path = self.path / "scores.jsonl"
        for number, record in journal.read(path):
            line = _valid(ScoreLine, record, f"{path}:{number}")
            at = (line.prompt_id, line.seed)
            sample = samples.get(at)
            if line.normalization != normalization or sample is None or sample.sha256 != line.sha256:
                continue
            kept = found.setdefault(at, {})
            for name, score in line.scores.items():
                current = (digests.get(name), fields.get((line.prompt_id, name)))
                if (score.metric_digest, score.fields_digest) != current:
                    continue
                if score.status == "ok" or name not in kept or kept[name].status != "ok":
                    kept[name] = score
        return found

    @contextmanager
    def writing(self) -> Iterator[RunFolder]:
        """Hold the run's lock; it is the kernel's and ends with the process."""
        for name in ("features", "videos", "prompts"):
            if (self.path / name).is_symlink() and not self.allow_outside:
                raise OutsideRun(
                    f"{self.path / name}: is a link, so that writing to the run would write elsewhere; if"
                    " that is meant, add --allow-outside"
                )
        with held(self.path):
            self.info = self._read_info()
            self.__dict__.pop("prompts", None)
            yield self


def _read_json(path: Path, run: Path) -> Any:
    if path.exists() and (not is_regular(path) or path.stat().st_size > MAX_JSON):
        raise RunError(f"{path}: is no plain file of at most {MAX_JSON:,} bytes")
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        if path.name != "run.json":
            raise RunError(f"{path}: is missing; the run cannot be read without it") from None
        what = "no such folder" if not run.exists() else "not a run folder (it holds no run.json)"
        raise RunError(f"{run}: {what}; `t2v-evals run` makes one") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not valid JSON ({error}); the run cannot be read without it") from None


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a link to itself
        return False


def _valid(kind: type[R], record: Any, where: str) -> R:
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        raise RunError(f"{where}: not a record of this suite ({explain(error)})") from None


def _write_info(path: Path, info: RunInfo) -> None:
    data = redacted({"schema": SCHEMA, **info.model_dump(mode="json", by_alias=True, exclude_defaults=True)})
    text = json.dumps({**data, "check": digest(data)}, indent=1, ensure_ascii=False)
    journal.write_atomically(path / "run.json", text.encode())


def create(path: Path, label: str, generator: Spec, settings: Settings) -> RunFolder:
    """Make a run folder, or open the one that is there if it holds the same run.

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
    with held(path):
        if not (path / "run.json").exists():
            if any(p for p in path.glob("[!.]*") if p.name != "features" or any(p.iterdir())):
                raise RunMismatch(f"{path}: holds other files and no run.json; choose an empty or new folder")
            made = {"id": secrets.token_hex(8), "name": path.name, "label": label}
            _write_info(path, RunInfo(**made, generator=generator, settings=settings))
        (path / "features").mkdir(exist_ok=True)
        run = RunFolder(path)
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

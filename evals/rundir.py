"""A run folder: one generator on prompts and seeds, its samples, features and scores.

::

    run.json            what was asked, of whom, and which metrics were computed how
    samples.jsonl       one line per sample, after its video is in place
    scores.jsonl        one line per video with its scores, after their features are committed
    features/           immutable shards
    videos/             what the generator wrote

Prompts, seeds and metrics may grow; another generator or other settings in the same folder are an
error. Readers take no lock and write nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from evals import journal
from evals.errors import RunError, RunMismatch, UsageError
from evals.lock import held
from evals.records import (
    SCHEMA,
    MetricInfo,
    Prompt,
    Record,
    Sample,
    Score,
    ScoreLine,
    Settings,
    Spec,
    digest,
    explain,
)

SampleId = tuple[str, int]
R = TypeVar("R", bound=Record)


class RunInfo(Record):
    """The contents of `run.json`."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    name: str
    label: str
    generator: Spec
    settings: Settings = Settings()
    prompts: tuple[Prompt, ...] = ()
    plan: dict[str, tuple[int, ...]] = {}
    metrics: dict[str, dict[str, MetricInfo]] = {}
    provenance: dict[str, Any] = {}
    status: Literal["started", "generated", "scored"] = "started"

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def sample_ids(self) -> list[SampleId]:
        """Every (prompt id, seed) that was ever asked for, in order."""
        return [(p.id, seed) for p in self.prompts for seed in self.plan.get(p.id, ())]


def text_digest(prompt: Prompt) -> str:
    """Ties a sample to the words it was made from."""
    return digest(["text", prompt.text])


def read_fields(prompt: Prompt, reads: Sequence[str]) -> str:
    """Ties a score to the values of the prompt fields it read."""
    fields = prompt.model_dump(mode="json")
    return digest({name: fields[name] for name in reads})


class RunDir:
    """A run folder, for reading; `writing` gives the lock and the right to append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = self._read_info()

    @property
    def features(self) -> Path:
        return self.path / "features"

    @property
    def videos(self) -> Path:
        return self.path / "videos"

    def _read_info(self) -> RunInfo:
        path = self.path / "run.json"
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            what = "no such folder" if not self.path.exists() else "not a run folder (it holds no run.json)"
            raise RunError(f"{self.path}: {what}; `t2v-evals run` makes one") from None
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path}: not valid JSON ({error}); the run cannot be read without it") from None
        if not isinstance(data, dict):
            raise RunError(f"{path}: is not a run's record")
        journal.check_schema(data, str(path))
        try:
            return RunInfo.model_validate(data)
        except ValidationError as error:
            raise RunError(f"{path}: {explain(error)}") from None

    def update(self, **changes: Any) -> None:
        """Replace fields of `run.json`; only while writing."""
        self.info = self.info.model_copy(update=changes)
        data = self.info.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        data = {"schema": SCHEMA, **data}
        journal.write_atomically(
            self.path / "run.json", json.dumps(data, indent=1, ensure_ascii=False).encode()
        )

    def prompt(self, prompt_id: str) -> Prompt:
        for prompt in self.info.prompts:
            if prompt.id == prompt_id:
                return prompt
        raise KeyError(prompt_id)

    def samples(self) -> dict[SampleId, Sample]:
        """The current sample of every (prompt, seed) that has one; the last record holds.

        A sample made from other words than the prompt has now is stale and left out.
        """
        words = {p.id: text_digest(p) for p in self.info.prompts}
        found: dict[SampleId, Sample] = {}
        path = self.path / "samples.jsonl"
        for number, record in journal.read(path):
            sample = _valid(Sample, record, path, number)
            if sample.text == words.get(sample.prompt_id):
                found[sample.prompt_id, sample.seed] = sample
            else:
                found.pop((sample.prompt_id, sample.seed), None)
        return found

    def video_path(self, sample: Sample) -> Path:
        """Where a sample's video lies: inside the run, or where the user keeps it."""
        if sample.video is None:
            raise ValueError(f"sample {sample.prompt_id}/{sample.seed} has no video")
        return self.path / sample.video

    def scores(
        self, view: str, samples: Mapping[SampleId, Sample] | None = None
    ) -> dict[SampleId, dict[str, Score]]:
        """Current scores under one view: of the sample's bytes, the metric's version and the prompt's
        values as they are now. Of several, `ok` wins, then the latest."""
        metrics = self.info.metrics.get(view, {})
        specs = {name: info.digest for name, info in metrics.items()}
        reads = {
            (p.id, name): read_fields(p, info.reads)
            for p in self.info.prompts
            for name, info in metrics.items()
        }
        samples = self.samples() if samples is None else samples
        found: dict[SampleId, dict[str, Score]] = {}
        path = self.path / "scores.jsonl"
        for number, record in journal.read(path):
            line = _valid(ScoreLine, record, path, number)
            at = (line.prompt_id, line.seed)
            sample = samples.get(at)
            if line.view != view or sample is None or sample.sha256 != line.sha256:
                continue
            kept = found.setdefault(at, {})
            for name, score in line.scores.items():
                if specs.get(name) != score.spec or reads.get((line.prompt_id, name)) != score.reads:
                    continue
                if score.status == "ok" or name not in kept or kept[name].status != "ok":
                    kept[name] = score
        return found

    @contextmanager
    def writing(self) -> Iterator[RunDir]:
        """Hold the run's lock; it is the kernel's and ends with the process."""
        with held(self.path):
            self.info = self._read_info()
            yield self


def _valid(kind: type[R], record: dict[str, Any], path: Path, line: int) -> R:
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        raise RunError(
            f"{path}:{line}: not a record of this suite ({explain(error)}); remove that line to go on"
        ) from None


def create(path: Path, label: str, generator: Spec, settings: Settings, provenance: dict[str, Any]) -> RunDir:
    """Make a run folder, or open the one that is there if it holds the same run.

    Raises `RunMismatch` where the folder holds a run of another generator or other settings.
    """
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
            info = RunInfo(name=path.name, label=label, generator=generator, settings=settings)
            data = info.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            journal.write_atomically(path / "run.json", json.dumps({"schema": SCHEMA, **data}).encode())
        (path / "features").mkdir(exist_ok=True)
        run = RunDir(path)
        if run.info.generator != generator:
            raise RunMismatch(
                f"{path}: holds a run of {run.info.label} ({run.info.generator.digest[:8]}), not of {label}"
                f" ({generator.digest[:8]}); use another --name or --out"
            )
        if run.info.settings != settings:
            raise RunMismatch(
                f"{path}: was made with {run.info.settings.to_json() or 'default settings'}, not"
                f" {settings.to_json() or 'default settings'}; use another --name"
            )
        run.update(provenance=provenance)
    return run

"""`run.json`: what was asked, of whom, which metrics were computed how, on which machines.

The writer of a whole run keeps it in `run.json`, that of a shard in `writers/<writer>.json`; readers join
both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import ConfigDict, Field, ValidationError

from evals.errors import RunError, RunMismatch
from evals.records import (
    SCHEMA,
    Calibration,
    MetricInfo,
    Record,
    Settings,
    Spec,
    digest,
    explain,
    is_regular,
)
from evals.runs import journal
from evals.runs.keys import metric_digest
from evals.runs.provenance import Provenance
from evals.runs.secrets import redacted
from evals.runs.segments import MAIN, Shard, shard_of

R = TypeVar("R", bound=Record)
RunStatus = Literal["started", "generated", "scored"]
STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)
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
    status: RunStatus = "started"

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def info_file(run: Path, writer: str = MAIN) -> Path:
    """Where a writer keeps its record of a run."""
    return run / "run.json" if writer == MAIN else run / "writers" / f"{writer}.json"


def read_info(run: Path, writer: str = MAIN) -> RunInfo:
    """One writer's record. Raises `RunError`, or `OtherSchema`."""
    path = info_file(run, writer)
    data = read_json(path, run)
    if not isinstance(data, dict):
        raise RunError(f"{path}: is not a run's record")
    journal.check_schema(data, str(path))
    if data.pop("check", None) != digest(data):
        raise RunError(f"{path}: is damaged or was edited: its check does not hold; restore it from a copy")
    return valid(RunInfo, data, str(path))


def writers_of(run: Path) -> list[str]:
    """The writers of shards that have begun, in order of their numbers."""
    found = [path.stem for path in (run / "writers").glob("*.json")]
    shards = [(shard.count, shard.number, name) for name in found if (shard := shard_of(name)) is not None]
    return [name for *_, name in sorted(shards)]


def joined(main: RunInfo, parts: Sequence[RunInfo]) -> RunInfo:
    """A run's record out of all writers' records. Where metrics are recorded differently, the scoring that
    ended last holds. Raises `RunMismatch` for parts of another run."""
    if not parts:
        return main
    for part in parts:
        if (part.id, part.generator, part.settings) != (main.id, main.generator, main.settings):
            raise RunMismatch(f"{main.name}: {part.name} is a shard of another run")
    every = [info for info in (main, *parts) if info.seeds]
    seeds: dict[str, set[int]] = {}
    metrics: dict[str, dict[str, MetricInfo]] = {}
    for info in every:
        for prompt_id, some in info.seeds.items():
            seeds.setdefault(prompt_id, set()).update(some)
    for info in sorted(every, key=_ended):
        for shape, known in info.metrics.items():
            metrics.setdefault(shape, {}).update(known)
    scored: dict[str, Provenance] = {}
    for info in every:
        for shape, made in info.scored.items():
            if shape not in scored or made.finished > scored[shape].finished:
                scored[shape] = made
    return main.model_copy(
        update={
            "prompt_sets": tuple(dict.fromkeys(name for info in every for name in info.prompt_sets)),
            "seeds": {prompt_id: tuple(sorted(some)) for prompt_id, some in seeds.items()},
            "metrics": metrics,
            "generated": max((i.generated for i in every if i.generated), key=_finished, default=None),
            "scored": scored,
            "calibrations": {k: v for info in every for k, v in info.calibrations.items()},
            "status": min((info.status for info in every), key=STATUSES.index, default="started"),
        }
    )


def unfinished(parts: Iterable[tuple[str, RunInfo]]) -> list[str]:
    """The shards that have not done all of theirs, such as `3/8`: they have no record, or other shards are
    further than they (scored, where they have only generated)."""
    reached: dict[Shard, int] = {}
    for writer, info in parts:
        if (shard := shard_of(writer)) is not None:
            reached[shard] = max(reached.get(shard, 0), STATUSES.index(info.status))
    goal = max((*reached.values(), STATUSES.index("generated")))
    found = []
    for count in sorted({shard.count for shard in reached}):
        every = (Shard(number, count) for number in range(1, count + 1))
        found += [str(shard) for shard in every if reached.get(shard, -1) < goal]
    return found


def contradictions(infos: Iterable[tuple[str, RunInfo]]) -> list[str]:
    """Metrics that writers recorded differently, in words."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    found = []
    for writer, info in infos:
        for shape, known in info.metrics.items():
            for name, metric in known.items():
                first, before = seen.setdefault((shape, name), (writer, metric_digest(metric)))
                if before != metric_digest(metric):
                    found.append(f"{name} was computed differently by {first} and {writer}")
    return found


def _finished(made: Provenance) -> str:
    return made.finished


def _ended(info: RunInfo) -> str:
    return max((made.finished for made in info.scored.values()), default="")


def write_info(run: Path, info: RunInfo, writer: str = MAIN) -> None:
    """Replace a writer's record."""
    journal.write_atomically(info_file(run, writer), _bytes(info))


def create_info(run: Path, info: RunInfo) -> None:
    """Write `run.json` unless another process has just done so."""
    journal.write_once(info_file(run), _bytes(info))


def _bytes(info: RunInfo) -> bytes:
    data = redacted({"schema": SCHEMA, **info.model_dump(mode="json", by_alias=True, exclude_defaults=True)})
    return json.dumps({**data, "check": digest(data)}, indent=1, ensure_ascii=False).encode()


def read_json(path: Path, run: Path) -> Any:
    """A JSON file of a run. Raises `RunError` with what to do."""
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


def valid(kind: type[R], record: Any, where: str) -> R:
    """A record of a kind. Raises `RunError`."""
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        raise RunError(f"{where}: not a record of this suite ({explain(error)})") from None

"""`--dry-run`: what a run would do and take. Makes nothing: no folder, no video, no request to an API."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.cli.output import tell, tell_json
from evals.decoding.resources import Resources
from evals.executors import LocalExecutor, Source
from evals.extract import Hooks, extract_features
from evals.generate import RunConfig, Task, tasks_of
from evals.judges import forms
from evals.records import Normalization, file_sha256, is_regular
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.scoring import Metrics

Made = tuple[float | None, int | None]
"""Seconds and bytes of a video that was made."""


def print_forecasts(
    configs: Sequence[RunConfig],
    metrics: Metrics | None,
    normalization: Normalization | None,
    resources: Resources,
    as_json: bool,
) -> int:
    """Say what each run would do and take; gives the exit code."""
    found = [forecast(config, metrics, normalization, resources) for config in configs]
    if as_json:
        tell_json(found[0] if len(found) == 1 else {"runs": found})
        return 0
    for facts in found:
        for key, value in facts.items():
            shown = ", ".join(value) if isinstance(value, list) else "unknown" if value is None else value
            tell(f"{key.replace('_', ' '):24s} {shown}")
    return 0


def forecast(
    config: RunConfig, metrics: Metrics | None, normalization: Normalization | None, resources: Resources
) -> dict[str, Any]:
    """Counts, metrics, cost, seconds and bytes. None stands for what cannot be known beforehand.

    Making videos is estimated from what the run has made already, scoring from one clip of middle size.
    """
    run = RunFolder(config.folder, shard=config.shard) if (config.folder / "run.json").exists() else None
    requests = config.requests()
    ids = [request.prompt.id for request in requests]
    mine = run.mine(ids) if run else config.shard.of(ids) if config.shard else set(ids)
    tasks, to_make, made = [], [], list[Made]()
    for task in tasks_of(run, config.generator, [one for one in requests if one.prompt.id in mine]):
        if task.is_due(config.retry):
            to_make.append(task)
        if task.before is not None and task.before.status == "ok":
            made.append((task.before.wall_seconds, task.before.bytes))
        tasks.append(replace(task, before=None))  # of many samples the records are not kept
    facts: dict[str, Any] = {
        "run": str(config.folder),
        "prompts": len({task.request.prompt.id for task in tasks}),
        "samples": len(tasks),
        "samples_to_make": len(to_make),
    }
    facts |= _making(config, made, to_make)
    if metrics is not None and normalization is not None:
        facts |= _scoring(run, tasks, metrics, normalization, resources)
    return facts


def _making(config: RunConfig, made: Sequence[Made], to_make: Sequence[Task]) -> dict[str, Any]:
    """Cost, seconds and bytes of the videos that are still to be made, judged by those that were."""
    generator = config.generator
    if generator.existing:
        return {"cost": 0, "bytes_to_read": sum(p.stat().st_size for p in _clips(to_make))}
    price = generator.price
    seconds = [one for one, _ in made if one is not None]
    sizes = [one for _, one in made if one is not None]
    count, at_once = len(to_make), max(1, generator.concurrency)
    cost = round(price * count, 4) if price is not None else None if generator.waits else 0
    return {
        "cost": cost,
        "seconds_to_make": _rounded(statistics.median(seconds) * count / at_once) if seconds else None,
        "bytes_to_make": _rounded(statistics.median(sizes) * count) if sizes else None,
    }


def _scoring(
    run: RunFolder | None,
    tasks: Sequence[Task],
    metrics: Metrics,
    normalization: Normalization,
    resources: Resources,
) -> dict[str, Any]:
    """Metrics, and seconds and bytes of features of the videos that lack a score."""
    have = run.values(str(normalization)) if run else {}
    wanted = set(metrics.video)
    unscored = [task for task in tasks if wanted - set(have.get(task.id, {}))]
    facts: dict[str, Any] = {
        "metrics": [*metrics.video, *metrics.distribution],
        "videos_to_score": len(unscored),
        "seconds_to_score": None,
        "bytes_of_features": None,
    }
    if metrics.prepared.judges:
        facts["questions_to_judges"] = _questions(unscored, metrics)
    clips = sorted(_clips(unscored), key=lambda path: path.stat().st_size)
    if clips and (measured := _measured(clips[len(clips) // 2], metrics, normalization, resources)):
        seconds, size = measured
        facts["seconds_to_score"] = _rounded(seconds * len(unscored))
        facts["bytes_of_features"] = size * len(unscored)
    return facts


def _questions(tasks: Sequence[Task], metrics: Metrics) -> int:
    """How many questions judges are asked about videos, at most; their controls are about 190 more."""
    asked = {need for metric in metrics.video.values() for need in metric.needs if need.kind == "answers"}
    found = 0
    for need in asked:
        form, _, judge = need.id.partition(":")
        votes = metrics.prepared.judges[judge].options.votes
        found += votes * sum(forms.count(form, task.request.prompt) for task in tasks)
    return found


def _clips(tasks: Sequence[Task]) -> list[Path]:
    """The files of existing clips; those in shards are not unpacked."""
    found = [task.request.clip for task in tasks if task.request.clip is not None]
    return [clip.path for clip in found if not clip.member and is_regular(clip.path)]


def _measured(
    clip: Path, metrics: Metrics, normalization: Normalization, resources: Resources
) -> tuple[float, int] | None:
    """Seconds per clip with all decoders busy, and bytes of features, measured on one clip; None where it
    cannot be read."""
    problems: list[Any] = []
    sources, hooks = [Source(file_sha256(clip), clip)], Hooks(lambda source, found: problems.extend(found))
    with tempfile.TemporaryDirectory() as scratch:
        for attempt in ("warm", "timed"):  # the first starts a decoder and loads networks
            place = Path(scratch) / attempt
            place.mkdir()
            started = time.monotonic()
            cost = extract_features(
                sources, metrics.prepared, FeatureStore(place), normalization,
                LocalExecutor(resources), hooks,
            )  # fmt: skip
            whole = time.monotonic() - started
        if not cost.videos:
            return None
        size = sum(path.stat().st_size for path in place.glob("*.safetensors"))
    encoding = cost.seconds.get("encode", 0.0)
    return max(encoding, (whole - encoding) / resources.at_once), size


def _rounded(value: float) -> float:
    """Two significant digits: an estimate is no more than that."""
    return float(f"{value:.2g}")

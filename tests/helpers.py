"""What several test files need: scoring stored features, making encoders from local weights."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evals.encoders import Encoder, create
from evals.metrics import create as create_metric
from evals.metrics.base import Clip, PromptFields, Skip, Value, VideoMetric
from evals.records import Need, Prompt, digest
from evals.runs.features import Features

PLAIN = (
    "temporal_flicker,temporal_ssim,frozen_frames,scene_cuts,warping_error[dis],dynamic_degree[dis],"
    "flow_magnitude[dis],sharpness,clip_similarity[embedded],fvd[embedded],kvd[embedded]"
)
"""Metrics for tests of what is around them: frame extractors of every kind and one small encoder."""


def score_of(metric_id: str, features: Mapping[str, Features], **fields: object) -> Value | Skip:
    """A metric on features by need (`frames:dis`), for a prompt with these fields."""
    metric = create_metric(metric_id)
    assert isinstance(metric, VideoMetric)
    prompt = Prompt.model_validate({"id": "p", "text": "a disc", **fields})
    by_need = {Need.parse(need): arrays for need, arrays in features.items()}
    return metric.score(Clip(by_need, PromptFields(prompt, metric.reads)))


def number(found: Value | Skip) -> float:
    """The number of a score that has one."""
    assert isinstance(found, Value), found
    return found.value


def made(name: str, weights: Path) -> Encoder:
    """An encoder from local weights, loaded on the CPU."""
    found = create(name, {name.partition(":")[0] if name.startswith("tiny/") else name: weights})
    found.load("cpu")
    return found


def edit_run(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a run's `run.json` as this package would write it."""
    path = folder / "run.json"
    data = json.loads(path.read_text())
    del data["check"]
    edit(data)
    path.write_text(json.dumps({**data, "check": digest(data)}))


def written(path: Path, process: subprocess.Popen[str]) -> str:
    """What a running process has written there, as soon as there is something."""
    while not (path.exists() and (text := path.read_text().strip())):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return text

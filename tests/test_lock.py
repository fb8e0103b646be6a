"""The lock: numbers of every component on tiny clips. A number that moves needs a higher version.

`python -m tests.test_lock` writes the lock anew, after a version was raised and the changelog says why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evals import frechet_distance, kernel_distance, prompts
from evals.decoding.windows import Sampling
from evals.encoders.embedded import SAMPLING, Embedded
from evals.extractors import FRAME_EXTRACTORS
from evals.generators import create
from evals.metrics import METRICS
from evals.worlds import FLAWS, Film
from tests.conftest import ball
from tests.test_folds import fold, in_chunks

LOCK = Path(__file__).with_name("lock.json")


def measure() -> dict[str, Any]:
    """Means of every row of every fold on two clips, of a sampled window and its embedded features, of
    simulated films, and distances."""
    found: dict[str, Any] = {}
    clips = [ball(9, (60, 80), seed=3, step=3.0), 255 - ball(9, (48, 64), seed=4, step=1.0)]
    for name in FRAME_EXTRACTORS:
        rows = [fold(name, in_chunks(clip, [9])) for clip in clips]
        means = {row: [float(r[row].mean()) for r in rows] for row in sorted(rows[0])}
        found[f"fold:{name}"] = {"version": FRAME_EXTRACTORS.get(name).spec.version, "values": means}
    window = Sampling(height=32, width=32).prepare(clips[0][0])
    found["sampling"] = {"version": 1, "values": {"mean": [float(window.mean())]}}
    encoder = Embedded("embedded")
    encoder.load("cpu")
    batch = np.stack([[SAMPLING.prepare(frame) for frame in np.resize(c, (12, *c.shape[1:]))] for c in clips])
    seen = {name: [float(v.abs().mean())] for name, v in encoder.encode(torch.from_numpy(batch)).items()}
    found["encoder:embedded"] = {"version": encoder.spec.version, "values": seen}
    catch = next(p for p in prompts.load(prompts.find("parks")).prompts if p.id == "park-catch-and-dog")
    films = {
        flaw: [float(np.mean([f.mean() for f in Film(catch, 0, 64, 48, 6, 6.0, flaw, 0.5).pictures()]))]
        for flaw in ("clean", *FLAWS)
    }
    version = create("simulated:clean", {}).spec.version
    found["generator:simulated"] = {"version": version, "values": films}
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 6)), rng.normal(size=(9, 6))
    for name, distance in (("fvd", frechet_distance(a, b)), ("kvd", kernel_distance(a, b).value)):
        found[name] = {"version": METRICS.get(name)("embedded").spec.version, "values": {"value": [distance]}}
    return found


NOW = measure()


def test_lock_is_complete() -> None:
    assert set(json.loads(LOCK.read_text())) == set(NOW)


@pytest.mark.parametrize("name", sorted(NOW))
def test_numbers_move_only_with_the_version(name: str) -> None:
    locked = json.loads(LOCK.read_text())[name]
    if locked["version"] != NOW[name]["version"]:
        pytest.fail(f"{name} has a new version: run `python -m tests.test_lock` and write the changelog")
    assert locked["values"].keys() == NOW[name]["values"].keys()
    for row, values in locked["values"].items():
        # Wide enough for another processor's last bits, far too narrow for another formula.
        assert NOW[name]["values"][row] == pytest.approx(values, rel=1e-4, abs=1e-6), (name, row)


if __name__ == "__main__":
    LOCK.write_text(json.dumps(NOW, indent=1) + "\n")

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
from evals.encoders.embedded import Embedded
from evals.extractors import FRAME_EXTRACTORS
from evals.extractors import create as create_extractor
from evals.extractors.paired import PAIR_EXTRACTORS, create_pair
from evals.generators import create
from evals.metrics import METRICS
from evals.video import CenterCrop
from evals.worlds import FLAWS, Film
from tests.conftest import ball
from tests.test_extractors import ONE_OF, extracted, in_chunks

LOCK = Path(__file__).with_name("lock.json")


def measure() -> dict[str, Any]:
    """Means of every array of every frame and pair extractor on two clips, of a resized frame, of embedded
    features, of simulated films, and distances; digests of the standard prompt sets. In the lock frame
    extractors have the prefix `fold:`."""
    found: dict[str, Any] = {}
    clips = [ball(9, (60, 80), seed=3, step=3.0), 255 - ball(9, (48, 64), seed=4, step=1.0)]
    for name in FRAME_EXTRACTORS:
        rows = [extracted(name, in_chunks(clip, [9])) for clip in clips]
        # JPEG's bytes are another library's, and its next version's are others.
        kept = [row for row in sorted(rows[0]) if len(rows[0][row]) and row not in ("jpeg", "bytes")]
        means = {row: [float(r[row].mean()) for r in rows] for row in kept}
        version = create_extractor(ONE_OF.get(name, name)).spec.version
        found[f"fold:{name}"] = {"version": version, "values": means}
    for name in PAIR_EXTRACTORS:
        extractor = create_pair(name)
        pair = extractor.step(clips[0], clips[0][::-1]) | extractor.finish()
        values = {row: [float(array.mean())] for row, array in pair.items()}
        found[f"pair:{name}"] = {"version": create_pair(name).spec.version, "values": values}
    window = CenterCrop(side=32).apply(clips[0][0])
    found["sampling"] = {"version": 1, "values": {"mean": [float(window.mean())]}}
    encoder = Embedded("embedded")
    encoder.load("cpu")
    batch = np.stack(
        [[encoder.resize.apply(frame) for frame in np.resize(c, (12, *c.shape[1:]))] for c in clips]
    )
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
    for one in prompts.builtin():
        found[f"prompts:{one.name}"] = {"version": one.version, "values": {"digest": one.digest}}
    return found


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return measure()


def test_lock_is_complete(now: dict[str, Any]) -> None:
    assert set(json.loads(LOCK.read_text())) == set(now)


@pytest.mark.parametrize("name", sorted(json.loads(LOCK.read_text())))
def test_numbers_move_only_with_the_version(name: str, now: dict[str, Any]) -> None:
    locked, found = json.loads(LOCK.read_text())[name], now[name]
    if locked["version"] != found["version"]:
        pytest.fail(f"{name} has a new version: run `python -m tests.test_lock` and write the changelog")
    assert locked["values"].keys() == found["values"].keys()
    for array, values in locked["values"].items():
        if isinstance(values, str):
            assert found["values"][array] == values, f"{name} changed: raise its version"
            continue
        # Wide enough for another processor's last bits, far too narrow for another formula.
        assert found["values"][array] == pytest.approx(values, rel=1e-4, abs=1e-6), (name, array)


if __name__ == "__main__":
    LOCK.write_text(json.dumps(measure(), indent=1) + "\n")

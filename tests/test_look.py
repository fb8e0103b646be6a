"""Colour and the CLIP scores, on pictures and vectors with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from evals.metrics.base import Value
from evals.video import Frames
from tests.conftest import ball
from tests.helpers import number, score_of
from tests.test_extractors import extracted, in_chunks


def colour(frames: Frames) -> dict[str, float]:
    rows = extracted("colour", in_chunks(frames, [len(frames)]))
    names = ("colorfulness", "exposure_clipping")
    return {name: number(score_of(name, {"frames:colour": rows})) for name in names}


def plainly(frame: Frames) -> float:
    """Hasler & Süsstrunk's M3 as the paper writes it."""
    r, g, b = (frame[..., i].astype(np.float64) for i in range(3))
    rg, yb = r - g, 0.5 * (r + g) - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def test_colorfulness_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    frames = np.concatenate([ball(3, (40, 60)), rng.integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)])
    assert colour(frames)["colorfulness"] == pytest.approx(np.mean([plainly(f) for f in frames]), rel=1e-12)
    grey = np.repeat(rng.integers(0, 256, (2, 9, 9, 1), dtype=np.uint8), 3, axis=3)
    assert colour(grey)["colorfulness"] == 0
    red = np.zeros((1, 8, 8, 3), np.uint8)
    red[..., 0] = 200
    assert colour(red)["colorfulness"] == pytest.approx(0.3 * np.hypot(200, 100))


def test_clipping_counts_both_ends() -> None:
    frame = np.full((1, 10, 10, 3), 128, np.uint8)
    assert colour(frame)["exposure_clipping"] == 0
    frame[0, :2], frame[0, 2:5] = 0, 255
    assert colour(frame)["exposure_clipping"] == pytest.approx(0.5)


def test_clip_scores_are_made_of_the_same_cosines() -> None:
    rng = np.random.default_rng(1)
    frames, text = rng.normal(size=(6, 1, 8)), rng.normal(size=(1, 8))
    rows = {
        "encoder:a/b": {"features": frames},
        "text:a/b": {"features": text, "truncated": np.array([1])},
    }
    cosines = [float(f @ text[0] / np.linalg.norm(f) / np.linalg.norm(text[0])) for f in frames[:, 0]]
    assert min(cosines) < 0 < max(cosines)
    wanted = {
        "clip_similarity": np.mean(cosines),
        "clip_score": 100 * np.mean(cosines),
        "clip_score_hessel": 2.5 * np.mean([max(c, 0) for c in cosines]),
    }
    for name, value in wanted.items():
        found = score_of(f"{name}[a/b]", rows)
        assert isinstance(found, Value) and found.value == pytest.approx(value, rel=1e-9)
        assert found.notes == ("truncated: the prompt is longer than the context",)

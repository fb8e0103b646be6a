"""Derivations: features made from stored features, stored under a key of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from evals.runs.folder import RunFolder
from tests.conftest import MakeClips, call, run_of

PLUGIN = """
from evals import DERIVATIONS, METRICS, About, Derivation, Need, Spec, Value, VideoMetric

DOUBLED = Need("derived", "doubled:difference")


@DERIVATIONS.register("doubled")
class Doubled(Derivation):
    def __init__(self, argument, encoders):
        super().__init__(argument, encoders)
        self.spec = Spec(name="doubled", version=1, params={"of": argument})

    @classmethod
    def inputs(cls, argument):
        return (Need("frames", argument),)

    def derive(self, features):
        (need,) = self.needs
        return {"mean": 2 * features[need]["mean"]}


class OnDoubled(VideoMetric):
    about, needs = About("lower"), (DOUBLED,)


@METRICS.register("doubled_mean")
class DoubledMean(OnDoubled):
    spec = Spec(name="doubled_mean", version=1)
    def score(self, clip):
        return Value(float(clip.features[DOUBLED]["mean"].mean()))


@METRICS.register("doubled_max")
class DoubledMax(OnDoubled):
    spec = Spec(name="doubled_max", version=1)
    def score(self, clip):
        return Value(float(clip.features[DOUBLED]["mean"].max()))
"""


def arrays(run: RunFolder) -> dict[str, NDArray[np.float64]]:
    """All stored arrays, by feature key and name."""
    return {k: v for shard in run.features.glob("*.safetensors") for k, v in load_file(shard).items()}


@pytest.mark.slow
def test_what_is_derived_is_stored_and_read_again(clips: MakeClips, tmp_path: Path) -> None:
    plugin = tmp_path / "doubled.py"
    plugin.write_text(PLUGIN)
    made = clips("a").write(1)
    first = call(*run_of(made.folder, tmp_path, "--metrics", "doubled_mean", "--plugin", plugin))
    assert first.code == 0, first.err
    run = RunFolder(tmp_path / "a")
    plain, derived = sorted(
        (array for name, array in arrays(run).items() if name.endswith("/mean")),
        key=lambda array: array.sum(),
    )
    assert np.array_equal(derived, 2 * plain)
    assert run.scores("native")["disc-0", 0]["doubled_mean"].value == pytest.approx(2 * plain.mean())
    for path in made.folder.glob("*.mkv"):
        path.unlink()
    again = call("score", tmp_path / "a", "--metrics", "doubled_max", "--plugin", plugin)
    assert again.code == 0, again.err
    assert RunFolder(run.path).scores("native")["disc-0", 0]["doubled_max"].value == 2 * plain.max()

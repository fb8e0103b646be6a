"""How much a video surprises a model that predicts how videos go on."""

from __future__ import annotations

import numpy as np

from evals.errors import UsageError
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.metrics.temporal import CUT_ASKED
from evals.records import Need, Spec


class Surprise(VideoMetric):
    """How far V-JEPA 2's prediction of the next frames is from what it makes of them: the mean over sliding
    windows (16 frames, 8 of them known, 2 apart) of the mean absolute difference of tokens.
    `surprise[vjepa2]` with `--weights vjepa2-predictor=FOLDER`, or `surprise[vjepa2:NAME]`. Does not apply to
    prompts annotated `cuts: true`.

    On IntPhys 2 most such models are near chance where people are near perfect: never the only number on
    physics."""

    takes = "vjepa2:facebook/vjepa2-vitl-fpc64-256"
    reads = ("cuts",)

    def __init__(self, model: str) -> None:
        kind, _, name = model.partition(":")
        if kind != "vjepa2":
            raise UsageError(f"surprise needs a model that predicts: surprise[vjepa2:NAME], not {model!r}")
        self.spec = Spec(name="surprise", version=1)
        self.about = About(
            "lower", 0.0, None, temporal=True, rewarded_by=("stillness", "blur"),
            source="Garrido et al. 2025; windows of WMReward; transformers' V-JEPA 2",
            note="on IntPhys 2 most such models are near chance, people near perfect: never the only number"
            " on physics",
            aspect="physics", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", f"vjepa2-predictor:{name}" if name else "vjepa2-predictor"),)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.cuts:
            return CUT_ASKED
        return Value(float(np.asarray(clip[self.needs[0]]["error"], np.float64).mean()))

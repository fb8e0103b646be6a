"""Does the video show what the prompt says?"""

from __future__ import annotations

from collections.abc import Mapping

from evals.features import Rows
from evals.metrics import OUTSIDE, About, Skip, Value, outside
from evals.metrics.temporal import unit
from evals.records import Prompt, Spec

EMBEDDED_NOTE = (
    "on the simulated worlds' own encoder: says nothing of other videos, nor beside CLIP's cosines"
)


class ClipSimilarity:
    """Mean over sampled frames (at most 16) of the cosine of CLIP's frame and prompt features.

    On a video encoder with a text side (`embedded`) there is one cosine, of the whole video.
    The raw cosine: CLIPScore (Hessel et al. 2021) is 2.5·max(cosine, 0), torchmetrics' is 100·cosine.
    A prompt longer than the model's context is cut by the tokenizer; the score says `truncated`.
    """

    takes = "ENCODER"
    reads = ("text",)

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="clip_similarity", version=1)
        self.about = About("higher", -1.0, 1.0, source="cosine of CLIP features (Radford et al. 2021)",
                           note=EMBEDDED_NOTE if encoder == "embedded" else "")  # fmt: skip
        self.needs = (f"encoder:{encoder}", f"text:{encoder}")

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        video, text = rows[self.needs[0]], rows[self.needs[1]]
        if outside(video):
            return Skip(OUTSIDE)
        space = "joint" if "joint" in text else "features"
        frames = video[space]
        cosines = unit(frames.reshape(len(frames), -1)) @ unit(text[space])[0]
        cut = bool(text["truncated"][0])
        return Value(
            float(cosines.mean()), ("truncated: the prompt is longer than the context",) if cut else ()
        )

"""Does the video show what the prompt says?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evals.errors import Reason
from evals.metrics.base import OUTSIDE, About, Clip, Skip, Value, VideoMetric, outside
from evals.metrics.temporal import unit
from evals.records import Need, Spec
from evals.runs.features import Features

EMBEDDED_NOTE = (
    "on the simulated worlds' own encoder: says nothing of other videos, nor beside CLIP's cosines"
)


def truncated(text: Features) -> tuple[str, ...]:
    """The note for a score of a prompt that was cut at the encoder's context length."""
    cut = bool(text["truncated"][0])
    return ("truncated: the prompt is longer than the context",) if cut else ()


class ClipSimilarity(VideoMetric):
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
                           note=EMBEDDED_NOTE if encoder == "embedded" else "",
                           aspect="alignment")  # fmt: skip
        self.needs = (Need("encoder", encoder), Need("text", encoder))

    def cosines(self, clip: Clip) -> NDArray[np.float64] | Skip:
        """One per sampled frame (n,), or why there are none."""
        video, text = clip[self.needs[0]], clip[self.needs[1]]
        if outside(video):
            return OUTSIDE
        space = "joint" if "joint" in text else "features"
        frames = video[space]
        found: NDArray[np.float64] = unit(frames.reshape(len(frames), -1)) @ unit(text[space])[0]
        return found

    def notes(self, clip: Clip) -> tuple[str, ...]:
        """What a reader must know of this prompt."""
        return truncated(clip[self.needs[1]])

    def score(self, clip: Clip) -> Value | Skip:
        found = self.cosines(clip)
        return found if isinstance(found, Skip) else Value(float(found.mean()), self.notes(clip))


class ClipScore(ClipSimilarity):
    """CLIPScore as torchmetrics has it: 100 × the mean cosine of frames and prompt. Not cut at 0, which
    torchmetrics does to the mean of a whole set."""

    def __init__(self, encoder: str) -> None:
        super().__init__(encoder)
        self.spec = Spec(name="clip_score", version=1)
        self.about = replace(
            self.about,
            low=-100.0,
            high=100.0,
            role="diagnostic",
            source="100·cosine (torchmetrics CLIPScore)",
        )

    def score(self, clip: Clip) -> Value | Skip:
        found = super().score(clip)
        return found if isinstance(found, Skip) else Value(100 * found.value, found.notes)


class ClipScoreHessel(ClipSimilarity):
    """CLIPScore as first defined: 2.5·max(cosine, 0), of each frame, then the mean."""

    def __init__(self, encoder: str) -> None:
        super().__init__(encoder)
        self.spec = Spec(name="clip_score_hessel", version=1)
        self.about = replace(self.about, low=0.0, high=2.5, role="diagnostic", source="Hessel et al. 2021")

    def score(self, clip: Clip) -> Value | Skip:
        found = self.cosines(clip)
        if isinstance(found, Skip):
            return found
        return Value(float(2.5 * np.maximum(found, 0).mean()), self.notes(clip))


class VideoTextSimilarity(VideoMetric):
    """Cosine of a video's and its prompt's features on X-CLIP, which conditions the text on the video."""

    takes = "xclip"
    reads = ("text",)

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="video_text_similarity", version=1)
        self.about = About(
            "higher", -1.0, 1.0, source="X-CLIP (Ni et al. 2022), on 8 frames", aspect="alignment"
        )
        self.needs = (Need("text", encoder), Need("derived", f"cross:{encoder}"))

    def score(self, clip: Clip) -> Value | Skip:
        text, cross = (clip[need] for need in self.needs)
        return Value(float(cross["cosine"][0]), truncated(text))


class RetrievalAt1(ClipSimilarity):
    """1 if the video matches its own prompt better than every other of the run's, else 0: the mean cosine
    over frames decides. Of prompts with the same features one counts. Two runs compare only on the same
    prompts."""

    def __init__(self, encoder: str) -> None:
        super().__init__(encoder)
        self.spec = Spec(name="retrieval_r1", version=1)
        self.about = About(
            "higher", 0.0, 1.0, unit="share of videos", binary=True, note=self.about.note,
            source="R@1 from video to text, among the run's prompts",
            aspect="alignment",
        )  # fmt: skip
        self.needs = (*self.needs, Need("texts", encoder))

    def score(self, clip: Clip) -> Value | Skip:
        video, text = clip[self.needs[0]], clip[self.needs[1]]
        if outside(video):
            return OUTSIDE
        space = "joint" if "joint" in text else "features"
        frames, own = video[space], unit(text[space])[0]
        texts = unit(np.unique(np.asarray(clip[self.needs[2]][space]), axis=0))
        others = texts[(texts @ own) < 1 - 1e-9]
        if not len(others):
            return Skip("the run has no other prompt to compare with", Reason.NO_OTHER_PROMPT)
        mean = unit(frames.reshape(len(frames), -1)).mean(0)
        return Value(float(mean @ own > (others @ mean).max()), self.notes(clip))

"""What to do about each warning."""

from __future__ import annotations

from dataclasses import dataclass

from evals.compare.results import Caution, Comparison
from evals.records import Aspect

REMEDIES: dict[Caution, str] = {
    Caution.RUNS_DIFFER: "Score all runs with one normalization, which the warning names, and compare again.",
    Caution.BITRATES_DIFFER: "Encode all videos alike, or read sharpness, blur and blockiness with care.",
    Caution.MISSING_VIDEOS: "Run the generation again: it resumes, and makes what is missing.",
    Caution.MISSING_SCORES: "See why in the table of what is not scored. What failed is made by `t2v-evals"
    " score` again; what does not apply, or cannot be followed, stays without a score.",
    Caution.SKIPPED_VIDEOS: "Read why under “What has no score”; one normalization for all may avoid it.",
    Caution.OUT_OF_DOMAIN: "Choose an encoder that was trained on such videos.",
    Caution.ENLARGED: "Choose a short side that no video falls below.",
    Caution.FEW_PROMPTS: "Add prompts; the column “detectable” says how small a difference these show.",
    Caution.OTHER_WORDS: "Generate both runs from the same prompt set.",
    Caution.REFERENCE_IS_RUN: "Give another reference: real clips, or a run that is not compared.",
    Caution.NOT_MEASURED: "Score with a suite that holds the metric, or read the reason in the warning.",
    Caution.SMALL_SETS: "Take more videos: kvd needs 20 prompts for an interval, an FVD 2,048 videos.",
    Caution.SHARED_VIDEOS: "Take the videos that both sides share out of the reference.",
    Caution.UNFINISHED_SHARDS: "Run these shards again, then `t2v-evals merge` the run.",
    Caution.MISSING_FEATURES: "Run `t2v-evals score` on the run again.",
    Caution.SAMPLE_SIZE_BIAS: "Compare Fréchet distances of equal N only, and prefer kvd or fvd_unbiased.",
}


GRAVE = (
    Caution.RUNS_DIFFER, Caution.BITRATES_DIFFER, Caution.MISSING_VIDEOS, Caution.OTHER_WORDS,
    Caution.OUT_OF_DOMAIN, Caution.SHARED_VIDEOS,
)  # fmt: skip
"""These can turn a verdict around; the others say how far a number reaches."""


MOVED: dict[Caution, tuple[Aspect, ...]] = {
    Caution.RUNS_DIFFER: ("motion", "consistency", "appearance"),
    Caution.BITRATES_DIFFER: ("consistency", "appearance"),
    Caution.OUT_OF_DOMAIN: ("realism",),
    Caution.SHARED_VIDEOS: ("realism",),
}
"""The aspects whose numbers a warning's cause moves by itself; the other grave ones are about all."""


@dataclass(frozen=True)
class Advice:
    """Warnings of one kind, each once with how often it occurs, and what to do."""

    messages: list[tuple[str, int]]
    remedy: str
    grave: bool
    moves: tuple[Aspect, ...] = ()


def advice(comparison: Comparison) -> list[Advice]:
    """The warnings by kind, in the order in which the kinds occur."""
    kinds: dict[Caution, dict[str, int]] = {}
    for warning in comparison.warnings:
        counted = kinds.setdefault(warning.code, {})
        counted[warning.message] = counted.get(warning.message, 0) + 1
    return [
        Advice(list(counted.items()), REMEDIES[code], code in GRAVE, MOVED.get(code, ()))
        for code, counted in kinds.items()
    ]

"""Whether the subject that a prompt asks for is in the frames, by an ImageNet classifier."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from evals.errors import Reason
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.records import Need, Spec, file_sha256

TABLE = Path(__file__).with_name("imagenet_subjects.yaml")
IRREGULAR = {
    "geese": "goose", "mice": "mouse", "wolves": "wolf", "calves": "calf", "leaves": "leaf", "buses": "bus",
    "children": "child", "people": "person", "men": "man", "women": "woman", "shelves": "shelf",
    "oxen": "ox", "octopuses": "octopus", "hippos": "hippo", "tomatoes": "tomato", "potatoes": "potato",
}  # fmt: skip
UNKNOWN = Skip("names no subject among ImageNet's classes", Reason.NO_KNOWN_SUBJECT)
LONGEST = 3


class ObjectPresence(VideoMetric):
    """The probability that the subject which the prompt asks for is in the frames: the mean over sampled
    frames of the classifier's probability of the classes that show it; over several subjects, their mean.

    Subjects are the prompt's annotated ones, else the words of its text that stand in the table
    `imagenet_subjects.yaml`. Does not apply to prompts without such a subject."""

    takes = "efficientnet-lite0"
    reads = ("text", "subjects")

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="object_presence", version=1, params={"table_sha256": file_sha256(TABLE)})
        self.about = About(
            "higher", 0.0, 1.0, unit="probability",
            source=f"ImageNet classes (Deng et al. 2009) by {encoder}",
            note="single subjects, not their number, action or place; close-ups of known classes score best",
            aspect="alignment",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def score(self, clip: Clip) -> Value | Skip:
        asked = asked_subjects(clip.prompt.text, tuple(s.kind for s in clip.prompt.subjects))
        if not asked:
            return UNKNOWN
        logits = np.asarray(clip[self.needs[0]]["logits"], np.float64)
        probabilities = _softmax(logits.reshape(-1, logits.shape[-1])).mean(0)
        found = [float(probabilities[list(subjects()[word])].sum()) for word in asked]
        return Value(min(1.0, float(np.mean(found))))


def asked_subjects(text: str, annotated: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The words of the table that a prompt asks for, in order: of its annotations, else of its text, the
    longest match first."""
    if annotated:
        words = [singular(kind.replace("-", " ").casefold()) for kind in annotated]
        known = [w if w in subjects() else w.replace(" ", "-") for w in words]
        return tuple(dict.fromkeys(w for w in known if w in subjects()))
    tokens = re.findall(r"[a-z]+(?:-[a-z]+)*", text.casefold())
    found: list[str] = []
    at = 0
    while at < len(tokens):
        for length in range(min(LONGEST, len(tokens) - at), 0, -1):
            word = singular(" ".join(tokens[at : at + length]))
            if word in subjects():
                found.append(word)
                at += length
                break
        else:
            at += 1
    return tuple(dict.fromkeys(found))


def singular(words: str) -> str:
    """A noun or compound in the singular: its last word by a table of irregular forms, else by its ending."""
    *before, last = words.split(" ")
    return " ".join([*before, _singular(last)])


def _singular(word: str) -> str:
    if word in subjects():
        return word
    if word in IRREGULAR:
        return IRREGULAR[word]
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word.removesuffix(ending) + instead
            if stem in subjects():
                return stem
    return word.removesuffix("s") if word.endswith("s") and not word.endswith("ss") else word


@cache
def subjects() -> dict[str, tuple[int, ...]]:
    """The classes of every word of the table."""
    return {
        str(word): tuple(_classes(str(ranges))) for word, ranges in yaml.safe_load(TABLE.read_text()).items()
    }


def _classes(ranges: str) -> list[int]:
    found: list[int] = []
    for part in ranges.split(","):
        first, _, last = part.strip().partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(-1, keepdims=True), np.float64)

"""Whether `object_presence` tells matched prompts from mismatched ones, on FETV's clips (Liu et al. 2023).

    python -m benchmarks.presence ../shared/assets/fetv [--page docs/metrics.md]

For every clip whose prompt names a known subject: the share of the other prompts, none of whose subjects are
its own, whose subjects are less present in it than its own are. The mean over clips is the area under the
curve of matched against mismatched; prompts are resampled for its interval.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.page import put
from evals import generators
from evals.decoding.resources import Resources
from evals.generate import RunConfig, generate_run
from evals.metrics.objects import _softmax, asked_subjects, subjects
from evals.records import Normalization
from evals.runs.features import FeatureStore
from evals.runs.keys import feature_key
from evals.scoring import prepare, score_run

NAME = "efficientnet-lite0"
GENERATED = ("cogvideo", "text2video-zero", "videofusion", "zeroscope")


@dataclass(frozen=True)
class Found:
    """The area under the curve with its 95 % interval, over so many clips and prompts."""

    auc: float
    low: float
    high: float
    clips: int
    prompts: int


def measure(folder: Path, models: Sequence[str]) -> Found:
    clips = [one for model in models for one in _probabilities(folder / model)]
    asked = {text: asked_subjects(text) for text in dict.fromkeys(text for text, _ in clips)}
    known = [text for text, words in asked.items() if words]

    def presence(probabilities: np.ndarray, text: str) -> float:
        return float(np.mean([probabilities[list(subjects()[word])].sum() for word in asked[text]]))

    by_prompt: dict[str, list[float]] = {}
    for text, probabilities in clips:
        if not asked[text]:
            continue
        own = presence(probabilities, text)
        others = [presence(probabilities, o) for o in known if not set(asked[o]) & set(asked[text])]
        share = float(np.mean([(own > other) + 0.5 * (own == other) for other in others]))
        by_prompt.setdefault(text, []).append(share)
    means = np.array([np.mean(shares) for shares in by_prompt.values()])
    rng = np.random.default_rng(0)
    resampled = means[rng.integers(0, len(means), (4000, len(means)))].mean(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Found(float(means.mean()), float(low), float(high), sum(map(len, by_prompt.values())), len(means))


def _probabilities(folder: Path) -> list[tuple[str, np.ndarray]]:
    """Every clip's prompt and mean class probabilities."""
    metrics = prepare([f"object_presence[{NAME}]"])
    spec = metrics.prepared.encoders[NAME].spec
    found = []
    with tempfile.TemporaryDirectory() as scratch, Resources(device="cpu") as resources:
        run = generate_run(RunConfig(generators.create(f"folder:{folder}"), Path(scratch) / "run"), resources)
        score_run(run, metrics, Normalization(), resources)
        store = FeatureStore(run.features)
        for (prompt_id, _), sample in run.samples().items():
            logits = store.get(feature_key(str(sample.sha256), spec, Normalization()))["logits"]
            means = _softmax(np.asarray(logits, np.float64).reshape(-1, logits.shape[-1])).mean(0)
            found.append((run.prompts[prompt_id].text, means))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    lines = ["| clips | AUC, matched against mismatched prompts | clips, prompts |", "|---|---|---|"]
    for label, models in (("real", ("gt",)), ("generated", GENERATED), *((m, (m,)) for m in GENERATED)):
        one = measure(arguments.folder, models)
        lines.append(
            f"| {label} | {one.auc:.2f} [{one.low:.2f}, {one.high:.2f}] | {one.clips}, {one.prompts} |"
        )
    text = "\n".join(lines)
    print(text)
    if arguments.page:
        put(arguments.page, "presence", text)


if __name__ == "__main__":
    main()

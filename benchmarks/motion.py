"""`motion_distance` on FETV: models against real clips beside `kvd`, and real clips under changes of time:
`python -m benchmarks.motion ASSETS` prints the tables of docs/physics.md.

Intervals are those of the jackknife over prompts; the metric itself prints none for under 20 prompts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import scipy.stats

from evals import video
from evals.encoders import create as create_encoder
from evals.extractors import create
from evals.metrics.distances import mean_feature
from evals.metrics.kernel import kernel_distance, kernel_equality
from evals.metrics.motion_distance import UNIT
from evals.records import Normalization
from evals.tracking.motion import POINTS, MotionHistograms
from evals.video import Chunk, Frames

MODELS = ("zeroscope", "videofusion", "cogvideo", "text2video-zero")
Vectors = dict[str, np.ndarray]


def frames_of(path: Path) -> Frames:
    limits = video.Limits()
    seen = video.probe(path, limits)
    chunks = video.decode(seen, Normalization(), limits.chunk_bytes, seen.facts.frames, [])
    return np.concatenate([chunk.new for chunk in chunks])


def shuffled(frames: Frames, rng: np.random.Generator) -> Frames:
    return frames[rng.permutation(len(frames))]


def jittered(frames: Frames, rng: np.random.Generator) -> Frames:
    """Every frame shifted by 2 % of the short side (standard deviation)."""
    height, width = frames.shape[1:3]
    found = []
    for frame in frames:
        x, y = rng.normal(0, 0.02 * min(height, width), 2)
        shift = np.array([[1, 0, x], [0, 1, y]])
        found.append(cv2.warpAffine(frame, shift, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    return np.stack(found).astype(np.uint8)


CHANGES: dict[str, Callable[[Frames, np.random.Generator], Frames]] = {
    "none": lambda frames, rng: frames,
    "reversed": lambda frames, rng: frames[::-1],
    "half speed": lambda frames, rng: np.repeat(frames, 2, 0)[: len(frames)],
    "double speed": lambda frames, rng: frames[::2],
    "shuffled": shuffled,
    "jitter": jittered,
}


def histograms(frames: Frames, flow: str) -> np.ndarray | None:
    extractor = create(POINTS[flow].id)
    parts = [extractor.step(Chunk(frames, 0, 0, 10.0)), extractor.finish()]
    made = {name: part[name] for part in parts for name in part}
    if not len(made["start"]):
        return None
    found = MotionHistograms(flow, {}).derive({POINTS[flow]: made})
    return mean_feature(found) / UNIT


def of_folder(folder: Path, flow: str, change: str = "none") -> Vectors:
    rng = np.random.default_rng(0)
    each = {
        path.stem: histograms(CHANGES[change](frames_of(path), rng), flow)
        for path in sorted(folder.glob("*.mp4"))
    }
    return {name: one for name, one in each.items() if one is not None}


def appearance(folder: Path) -> Vectors:
    """EfficientNet's features, as `kvd[efficientnet-lite0]` has them."""
    import torch

    encoder = create_encoder("efficientnet-lite0", {})
    encoder.load("cpu")
    found = {}
    for path in sorted(folder.glob("*.mp4")):
        frames = frames_of(path)
        windows = encoder.frames.windows(len(frames), 10.0, "")
        batch = np.stack([np.stack([encoder.resize.apply(frames[k]) for k in w]) for w in windows])
        features = encoder.encode(torch.from_numpy(batch))
        found[path.stem] = mean_feature({name: value.numpy() for name, value in features.items()})
    encoder.unload()
    return found


def row(name: str, ours: Vectors, theirs: Vectors) -> str:
    groups = (list(ours), list(theirs))
    a, b = np.stack(list(ours.values())), np.stack(list(theirs.values()))
    value, error = kernel_distance(a, b, groups)
    half = float(scipy.stats.t.ppf(0.975, min(len(a), len(b)) - 1)) * error
    p = kernel_equality(a, b, groups)
    return f"| {name} | {len(a)} | {value:.4f} | {value - half:.4f} to {value + half:.4f} | {p:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    fetv = parser.parse_args().assets / "fetv"
    print("| against real clips | n | distance | 95 % interval | p of no difference |\n|---|---|---|---|---|")
    for flow in POINTS:
        real = of_folder(fetv / "gt", flow)
        for model in MODELS:
            print(row(f"{model}, `motion_distance[{flow}]`", of_folder(fetv / model, flow), real))
    real = appearance(fetv / "gt")
    for model in MODELS:
        print(row(f"{model}, `kvd[efficientnet-lite0]`", appearance(fetv / model), real))
    print("\n| real clips | n | distance | 95 % interval | p of no difference |\n|---|---|---|---|---|")
    for flow in POINTS:
        real = of_folder(fetv / "gt", flow)
        for change in list(CHANGES)[1:]:
            print(row(f"{change}, `motion_distance[{flow}]`", of_folder(fetv / "gt", flow, change), real))


if __name__ == "__main__":
    main()

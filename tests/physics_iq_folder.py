"""A small Physics-IQ folder, laid out and named as the benchmark's download is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from evals.video import encode

VIEWS = ("perspective-left", "perspective-center", "perspective-right")
SCENARIOS = {"trimmed-ball-falls": "Solid Mechanics", "trimmed-water-flows": "Fluid Dynamics"}
FPS, FRAMES = 8, 40


def film(seed: int, size: tuple[int, int], shift: float = 0.0) -> list[np.ndarray]:
    """A disc that moves over a texture; `shift` pixels off its way."""
    rng = np.random.default_rng(seed)
    width, height = size
    behind = cv2.resize(
        rng.integers(60, 200, (12, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC
    )
    found = []
    for k in range(FRAMES):
        frame = behind.copy()
        x = 0.1 * width + 0.8 * width * k / FRAMES + shift
        y = 0.5 * height + 0.3 * height * np.sin(k / 6 + seed) + shift
        cv2.circle(frame, (round(x), round(y)), height // 8, (220, 40, 40), -1, cv2.LINE_AA)
        found.append(frame)
    return found


def build(root: Path) -> tuple[Path, Path, Path]:
    """The benchmark's folder, its index and a folder of generated clips of another size."""
    takes = root / "physics-IQ-benchmark" / "split-videos" / "testing" / f"{FPS}FPS"
    generated = root / "generated"
    for folder in (takes, generated):
        folder.mkdir(parents=True)
    rows = ["scenario,description,category,generated_video_name"]
    number = 0
    count = len(SCENARIOS) * len(VIEWS)
    for s, (name, category) in enumerate(SCENARIOS.items()):
        for v, view in enumerate(VIEWS):
            number += 1
            seed = 10 * s + v
            for take in (1, 2):
                i = number + (take - 1) * count
                file = f"{i:04d}_testing-videos_{FPS}FPS_{view}_take-{take}_{name}.mp4"
                encode(takes / file, iter(film(seed, (192, 128), 3.0 * (take - 1))), FPS, crf=12)
                rows.append(
                    f"{i:04d}_{view}_take-{take}_{name}.mp4,Seen.,{category},{number:04d}_{view}_{name}.mp4"
                )
            clip = generated / f"{number:04d}_{view}_{name}.mp4"
            encode(clip, iter(film(seed, (144, 96), 6.0 + 2 * v)), FPS, crf=12)
    index = root / "descriptions.csv"
    index.write_text("\n".join(rows) + "\n")
    return root / "physics-IQ-benchmark", index, generated

"""Draw two small folders of clips to try the suite on: `python examples/make_clips.py clips`.

Both show the same 24 prompts, a coloured ball that bounces on a floor. `clips/steady` is clean,
`clips/flickering` changes its brightness from frame to frame.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from evals.video import Frames, encode

WIDTH, HEIGHT, FRAMES, FPS = 192, 144, 24, 12
COLOURS = {"red": (200, 40, 40), "green": (50, 160, 70), "blue": (50, 80, 200), "yellow": (230, 200, 60)}
PLACES = {"at dusk": 90, "at noon": 200, "indoors": 140}
SIZES = {"small": 8, "large": 16}


def scene(colour: tuple[int, int, int], sky: int, radius: int, flicker: float, seed: int) -> Iterator[Frames]:
    """One clip: free fall and bounces that keep 0.8 of the speed; `flicker` is brightness noise's σ."""
    rng = np.random.default_rng(seed)
    texture = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    y, speed, x = 20.0 + seed, 0.0, 20.0
    floor = HEIGHT - 24 - radius
    for _ in range(FRAMES):
        picture = np.full((HEIGHT, WIDTH, 3), sky, np.uint8)
        picture[HEIGHT - 24 :] = sky // 2
        cv2.circle(picture, (round(x), round(y)), radius, colour, -1, cv2.LINE_AA)
        gain = 1 + flicker * rng.normal()
        yield np.clip((picture + texture) * gain, 0, 255).astype(np.uint8)
        speed += 1.6
        y, x = y + speed, x + 5.5
        if y > floor:
            y, speed = 2 * floor - y, -0.8 * speed


def main(folder: Path) -> None:
    for name, flicker in (("steady", 0.0), ("flickering", 0.04)):
        out = folder / name
        out.mkdir(parents=True, exist_ok=True)
        lines = []
        looks = [(c, p, s) for c in COLOURS for p in PLACES for s in SIZES]
        for i, (colour, place, size) in enumerate(looks):
            frames = scene(COLOURS[colour], PLACES[place], SIZES[size], flicker, seed=i)
            encode(out / f"{i:02d}.mp4", frames, FPS)
            prompt = f"A {size} {colour} ball bounces across a floor {place}."
            lines.append(json.dumps({"path": f"{i:02d}.mp4", "prompt": prompt, "category": place}))
        (out / "videos.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{out}: {len(lines)} clips")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "clips"))

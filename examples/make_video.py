"""A program that makes a video, for `command:`. Exit code 10 says that it refuses the prompt.

python examples/make_video.py --prompt "a ball" --seed 0 --out ball.mp4
python examples/make_video.py --serve          # a JSON line per video on standard input
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from evals.video import encode


def make(prompt: str, seed: int, out: str) -> str:
    """`ok` or `refused`."""
    if "forbidden" in prompt:
        return "refused"
    rng = np.random.default_rng([seed, len(prompt)])
    sky = (rng.random((96, 128, 3)) * 255).astype(np.uint8)
    encode(Path(out), [np.roll(sky, 2 * t, axis=1) for t in range(16)], 8)
    return "ok"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if not given.serve:
        sys.exit(0 if make(given.prompt, given.seed, given.out) == "ok" else 10)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"status": make(asked["prompt"], asked["seed"], asked["out"])}), flush=True)


if __name__ == "__main__":
    main()

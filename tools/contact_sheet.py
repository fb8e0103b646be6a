"""Draws the contact sheet of the simulated worlds: `python tools/contact_sheet.py docs/images`.

`worlds.jpg` shows standard prompts, three moments each; `flaws.jpg` one scene with every flaw.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from evals.records import Prompt
from evals.video import Frames
from evals.worlds import FLAWS, Film
from tools.captions import standard

WIDTH, HEIGHT, COLUMNS = 200, 150, 3
SHOWN = (
    "park-catch-and-dog", "park-football", "park-playground-swing", "park-kite", "park-duck-pond",
        "park-leaves-wind",
    "park-jogger-fountain", "park-cherry-blossom", "dog-jumps-and-hangs", "horse-clears-fence",
        "dolphin-leap",
    "elephants-walk", "penguins-waddle", "eagle-soars", "fish-school-turns", "giraffe-leaves", "cows-graze",
    "cat-walks-wall", "ball-drop", "basketball-arc", "tower-of-blocks-falls", "wrecking-ball",
        "newtons-cradle",
    "ball-down-ramp", "domino-row", "two-pendulums-lengths", "helium-balloon-rises",
)  # fmt: skip


def strip(frames: list[Frames], title: str) -> Frames:
    """Frames side by side under a title."""
    row = np.concatenate(frames, 1)
    head = np.full((18, row.shape[1], 3), 24, np.uint8)
    cv2.putText(head, title, (5, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
    return np.concatenate([head, row])


def sheet(strips: list[Frames], columns: int) -> Frames:
    """Strips in columns."""
    strips = strips + [np.full_like(strips[0], 24)] * (-len(strips) % columns)
    rows = [np.concatenate(strips[i : i + columns], 1) for i in range(0, len(strips), columns)]
    return np.concatenate(rows)


def film(prompt: Prompt, flaw: str = "clean", count: int = 24) -> list[Frames]:
    return list(Film(prompt, 0, WIDTH, HEIGHT, count, 12.0, flaw, 1.0).pictures())


def main(folder: Path) -> None:
    known = {p.id: p for p in standard()}
    folder.mkdir(parents=True, exist_ok=True)
    worlds = [strip(film(known[i])[::9], i) for i in SHOWN]
    flaws = [
        strip(
            film(known["park-football"], flaw)[2::5][:4], f"{flaw} (strength 1)" if flaw != "clean" else flaw
        )
        for flaw in ("clean", *FLAWS)
    ]
    for name, picture in (("worlds", sheet(worlds, COLUMNS)), ("flaws", sheet(flaws, 2))):
        path = folder / f"{name}.jpg"
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        print(path, picture.shape, f"{path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))

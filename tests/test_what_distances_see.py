"""Order and flicker on lossless simulated clips: a video distance sees both, one of frames only flicker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evals.video import Frames, encode
from evals.worlds import Film
from tests.conftest import call
from tools.captions import standard

TINY = "tiny/random"


def write(folder: Path, seed: int, change: Callable[[Frames, np.random.Generator], Frames]) -> Path:
    """40 films of 12 frames, changed and kept without loss."""
    folder.mkdir(parents=True)
    rng, lines = np.random.default_rng(5), []
    for prompt in standard()[:40]:
        frames = np.stack(list(Film(prompt, seed, 80, 64, 12, 6.0).pictures()))
        encode(folder / f"{prompt.id}.mkv", change(frames, rng), 6, codec="ffv1")
        lines.append(json.dumps({"path": f"{prompt.id}.mkv", "prompt": prompt.text, "prompt_id": prompt.id}))
    (folder / "videos.jsonl").write_text("\n".join(lines))
    return folder


def flickering(frames: Frames, rng: np.random.Generator) -> Frames:
    gain = 1 + 0.15 * rng.normal(size=(len(frames), 1, 1, 1))
    return np.clip(frames * gain, 0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.nightly
def test_reordering_moves_the_video_distance_alone_and_flicker_both(tmp_path: Path, tiny_clip: Path) -> None:
    sets = {
        "clean": (1, lambda frames, rng: frames),
        "shuffled": (1, lambda frames, rng: frames[rng.permutation(len(frames))]),
        "flickers": (1, flickering),
        "reference": (2, lambda frames, rng: frames),
    }
    metrics = ("--metrics", f"fvd[embedded],fid_frames[{TINY}]", "--weights", f"{TINY}={tiny_clip}")
    for name, (seed, change) in sets.items():
        folder = write(tmp_path / "clips" / name, seed, change)
        done = call("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", *metrics)
        assert done.code == 0, done.err
    runs = [tmp_path / "runs" / name for name in list(sets)[:3]]
    out = tmp_path / "report"
    done = call("compare", *runs, "--reference", tmp_path / "runs" / "reference", "--videos", 0, "--out", out)
    assert done.code == 0, done.err
    frame = pd.read_csv(out / "distributions.csv").pivot_table(index="run", columns="metric", values="value")
    video, frames = frame["fvd[embedded]"], frame[f"fid_frames[{TINY}]"]
    print(frame)
    assert frames["shuffled"] == pytest.approx(frames["clean"], rel=1e-9)
    assert video["shuffled"] > 1.05 * video["clean"]
    assert video["flickers"] > 1.1 * video["clean"]
    # Random weights: that it moves is all that can be asked of this encoder, not which way.
    assert abs(frames["flickers"] - frames["clean"]) > 0.1 * frames["clean"]

"""Shared fixtures: the assets (tests skip without them), small clips, a tiny CLIP, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from evals.video import Frames, encode

# Property tests try the same examples each time; `EXAMPLES=20 pytest …` tries 20 times as many, at random.
MORE = int(os.environ.get("EXAMPLES", "1"))
settings.register_profile("t2v-evals", derandomize=MORE == 1, deadline=None, database=None)
settings.load_profile("t2v-evals")


def examples(count: int) -> settings:
    """For a property test: how many examples it tries by default."""
    return settings(max_examples=count * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])


os.environ.setdefault("T2V_EVALS_FIGURES", "0")  # tests/test_figures.py draws them

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT.parent / "shared" / "assets"


@pytest.fixture(scope="session")
def assets() -> Path:
    """Real videos and goldens that are not part of the project."""
    if not ASSETS.is_dir():
        pytest.skip("the shared assets lie beside the checkout, and there are none here")
    return ASSETS


def ball(frames: int = 12, size: tuple[int, int] = (48, 64), seed: int = 0, step: float = 2.0) -> Frames:
    """A textured picture (H, W) with a bright disc that moves `step` pixels a frame."""
    rng = np.random.default_rng(seed)
    height, width = size
    back = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), (0, 0), 2)
    clip = []
    for t in range(frames):
        picture = back.copy()
        cv2.circle(picture, (round(8 + t * step), height // 2), 6, (250, 60, 20), -1)
        clip.append(picture)
    return np.stack(clip).astype(np.uint8)


@dataclass
class Clips:
    """A folder of lossless clips with a manifest."""

    folder: Path

    def write(self, prompts: int = 3, seeds: int = 1, **looks: Any) -> Clips:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for i in range(prompts):
            for seed in range(seeds):
                name = f"{i}-{seed}.mkv"
                encode(self.folder / name, ball(seed=17 * i + seed, **looks), 8, "ffv1")
                row = {"path": name, "prompt": f"a disc, number {i}", "prompt_id": f"disc-{i}", "seed": seed}
                lines.append({**row, "category": "odd" if i % 2 else "even"})
        self.manifest(lines)
        return self

    def manifest(self, rows: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "videos.jsonl").write_text(text, encoding="utf-8")

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(x) for x in (self.folder / "videos.jsonl").read_text().splitlines()]


MakeClips = Callable[[str], Clips]


@pytest.fixture
def clips(tmp_path: Path) -> MakeClips:
    """Make a folder of clips: `clips("name").write(prompts=3)`."""
    return lambda name: Clips(tmp_path / "clips" / name)


@dataclass
class Result:
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process; the decoders are real processes all the same."""
    from evals.cli import main

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def scored(clips: Callable[[str], Clips], cli: Cli, tmp_path: Path) -> Path:
    """A run of one clip with one metric."""
    made = clips("a").write(1)
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path)
    assert cli(*base, "--metrics", "temporal_flicker").code == 0
    return tmp_path / "a"


def run_of(folder: Path, out: Path, *more: object) -> tuple[object, ...]:
    """Arguments of `run` on a folder of clips."""
    return ("run", "--generator", f"folder:{folder}", "--out", out, *more)


def start(
    *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_eval.py"), *map(str, arguments)],
        cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def call(*arguments: object, cwd: Path | None = None) -> Result:
    """Run the command line as a process of its own, to its end."""
    with start(*arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=800)
    return Result(process.returncode, out, err)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small, randomly initialised open_clip model, as open_clip saves them for a hub."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    config = {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    preprocess = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    torch.manual_seed(0)
    model = open_clip.model.CLIP(**config)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    yield folder


@pytest.fixture(scope="session", autouse=True)
def state_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep this user's real secret out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield

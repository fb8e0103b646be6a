"""VideoMAE V2 by its key converter against a slow forward, and V-JEPA 2 from a local folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from evals.encoders import create
from evals.encoders.base import Setup
from evals.encoders.videomae import load_videomae
from evals.encoders.vjepa2 import VJepa2, VJepa2Predictor
from evals.errors import UsageError, WeightsError
from evals.metrics import create as create_metric
from evals.video import SlidingWindows
from tests.conftest import Cli, MakeClips

transformers = pytest.importorskip("transformers", reason="the extra `backbones` is not installed")
WIDTH, DEPTH, HEADS, FRAMES, SIZE, PATCH = 48, 3, 4, 4, 28, 14


def checkpoint() -> dict[str, Tensor]:
    """Random weights in the authors' naming."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng) * 0.2

    state = {"patch_embed.proj.weight": draw(WIDTH, 3, 2, PATCH, PATCH), "patch_embed.proj.bias": draw(WIDTH)}
    for i in range(DEPTH):
        for name, shape in (
            ("attn.qkv.weight", (3 * WIDTH, WIDTH)), ("attn.q_bias", (WIDTH,)), ("attn.v_bias", (WIDTH,)),
            ("attn.proj.weight", (WIDTH, WIDTH)), ("attn.proj.bias", (WIDTH,)),
            ("mlp.fc1.weight", (96, WIDTH)), ("mlp.fc1.bias", (96,)),
            ("mlp.fc2.weight", (WIDTH, 96)), ("mlp.fc2.bias", (WIDTH,)),
        ):  # fmt: skip
            state[f"blocks.{i}.{name}"] = draw(*shape)
        for norm in ("norm1", "norm2"):
            state[f"blocks.{i}.{norm}.weight"], state[f"blocks.{i}.{norm}.bias"] = (
                1 + draw(WIDTH),
                draw(WIDTH),
            )
    state |= {"fc_norm.weight": 1 + draw(WIDTH), "fc_norm.bias": draw(WIDTH)}
    return state | {"head.weight": draw(5, WIDTH), "head.bias": draw(5)}


def slowly(state: Mapping[str, Tensor], frames: Tensor) -> Tensor:
    """The authors' network in float64, token by token; (T, 3, H, W) from 0 to 1 to (width,)."""
    state = {k: v.double() for k, v in state.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    kernel, tokens = state["patch_embed.proj.weight"].flatten(1), []
    for t in range(0, FRAMES, 2):
        for r in range(0, SIZE, PATCH):
            for c in range(0, SIZE, PATCH):
                patch = frames.double()[t : t + 2, :, r : r + PATCH, c : c + PATCH].transpose(0, 1)
                tokens.append(kernel @ patch.flatten() + state["patch_embed.proj.bias"])
    x = torch.stack(tokens)
    for place in range(len(x)):
        for i in range(WIDTH):
            angle = place / 10_000 ** (2 * (i // 2) / WIDTH)
            x[place, i] += math.sin(angle) if i % 2 == 0 else math.cos(angle)
    for n in range(DEPTH):
        block = f"blocks.{n}"
        q, k, v = (norm(x, f"{block}.norm1") @ state[f"{block}.attn.qkv.weight"].T).chunk(3, 1)
        q, v = q + state[f"{block}.attn.q_bias"], v + state[f"{block}.attn.v_bias"]
        d, heads = WIDTH // HEADS, []
        for h in range(HEADS):
            part = slice(h * d, h * d + d)
            heads.append(torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(d), 1) @ v[:, part])
        x = x + torch.cat(heads, 1) @ state[f"{block}.attn.proj.weight"].T + state[f"{block}.attn.proj.bias"]
        y = norm(x, f"{block}.norm2") @ state[f"{block}.mlp.fc1.weight"].T + state[f"{block}.mlp.fc1.bias"]
        x = x + functional.gelu(y) @ state[f"{block}.mlp.fc2.weight"].T + state[f"{block}.mlp.fc2.bias"]
    return norm(x.mean(0), "fc_norm")


def test_the_converted_network_equals_a_slow_forward(tmp_path: Path) -> None:
    state = checkpoint()
    torch.save({"module": state}, tmp_path / "v.pth")
    network = load_videomae(tmp_path / "v.pth", HEADS, FRAMES, SIZE).eval()
    frames = torch.rand(2, FRAMES, 3, SIZE, SIZE)
    with torch.inference_mode():
        found = network(frames)
    for one, row in zip(frames, found, strict=True):
        assert torch.allclose(row.double(), slowly(state, one), rtol=1e-4, atol=1e-5)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    state = checkpoint()
    path = tmp_path / "v.pth"
    for change in ({"blocks.1.strange.weight": torch.zeros(1)}, {"fc_norm.bias": torch.zeros(3)}):
        torch.save({**state, **change}, path)
        with pytest.raises(WeightsError, match=r"v\.pth"):
            load_videomae(path, HEADS, FRAMES, SIZE)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"v\.pth"):
        load_videomae(path)
    with pytest.raises(WeightsError, match="has 7 bytes"):
        create("videomae", {"videomae": path})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    small = {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    predictor = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    shape = {"patch_size": 16, "crop_size": 32, "frames_per_clip": 16, "tubelet_size": 2}
    config = transformers.VJEPA2Config(**shape, **small, **predictor)
    place = tmp_path_factory.mktemp("vjepa2") / "model"
    transformers.VJEPA2Model(config).save_pretrained(place)
    return place


def test_vjepa2_is_the_mean_of_the_encoders_tokens(folder: Path) -> None:
    encoder = VJepa2("vjepa2", Setup(folder))
    encoder.load("cpu")
    rng = np.random.default_rng(0)
    batch = torch.from_numpy(rng.integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8))
    found = encoder.encode(batch)["features"]
    pixels = batch.permute(0, 1, 4, 2, 3).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model = transformers.VJEPA2Model.from_pretrained(folder).eval()
    with torch.inference_mode():
        tokens = model.encoder((pixels - mean) / std).last_hidden_state
    assert found.shape == (2, 1, 48) and torch.allclose(found[:, 0], tokens.mean(1), rtol=1e-5, atol=1e-6)
    encoder.unload()


def test_vjepa2_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="`t2v-evals weights fetch 'vjepa2:a/b'`"):
        create("vjepa2:a/b", {})
    with pytest.raises(WeightsError, match="needs a model"):
        create("vjepa2", {})
    with pytest.raises(WeightsError, match=r"config\.json"):
        VJepa2("vjepa2", Setup(tmp_path))


def test_mmd2_on_vjepa2_from_clips_to_table(folder: Path, clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        made = clips(name).write(prompts=4, frames=18).folder
        command = ("run", "--generator", f"folder:{made}", "--out", tmp_path, "--metrics", "mmd2[vjepa2]")
        done = cli(*command, "--weights", f"vjepa2={folder}")
        assert done.code == 0, done.err
    done = cli(
        "compare", tmp_path / "a", "--reference", tmp_path / "b", "--videos", 0, "--out", tmp_path / "r"
    )
    assert done.code == 0 and "mmd2[vjepa2]" in (tmp_path / "r" / "distributions.csv").read_text()


def test_surprise_is_the_predictions_error_and_nothing_of_the_future_is_in_it(folder: Path) -> None:
    encoder = VJepa2Predictor("vjepa2-predictor", Setup(folder))
    encoder.load("cpu")
    rng = np.random.default_rng(0)
    batch = torch.from_numpy(rng.integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8))
    found = encoder.encode(batch)["error"]
    pixels = batch.permute(0, 1, 4, 2, 3).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model = transformers.VJEPA2Model.from_pretrained(folder).eval()
    with torch.inference_mode():
        whole = model.encoder((pixels - mean) / std).last_hidden_state
        past = model.encoder(((pixels - mean) / std)[:, :8]).last_hidden_state
        places = torch.arange(32).repeat(2, 1)  # 8 pairs of frames × 2 × 2 patches
        ahead = model.predictor(past, [places[:, :16]], [places[:, 16:]]).last_hidden_state
    assert found.shape == (2, 1, 1)
    assert torch.allclose(found[:, 0, 0], (ahead - whole[:, 16:]).abs().mean((1, 2)), rtol=1e-5)
    # What predicts is of the first 8 frames: another future changes what it is compared with, not the
    # prediction.
    assert not torch.allclose(whole[:, :16], past, atol=1e-3)
    encoder.unload()


def test_surprise_from_clips_to_table(folder: Path, clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(prompts=2, frames=20).folder
    command = ("run", "--generator", f"folder:{made}", "--out", tmp_path, "--metrics", "surprise[vjepa2]")
    done = cli(*command, "--weights", f"vjepa2-predictor={folder}", "--json")
    assert done.code == 0, done.err
    assert '"surprise[vjepa2]"' in (tmp_path / "a" / "scores/main.jsonl").read_text()
    with pytest.raises(UsageError, match=r"surprise\[vjepa2:NAME\], not 'dino'"):
        create_metric("surprise[dino]")


@pytest.mark.parametrize(
    ("count", "stride", "most", "starts"), [(16, 2, 32, [0]), (21, 2, 32, [0, 2, 4]), (40, 2, 3, [4, 12, 20])]
)
def test_sliding_windows(count: int, stride: int, most: int, starts: list[int]) -> None:
    windows = SlidingWindows(frames=16, stride=stride, most=most).windows(count)
    assert [w[0] for w in windows] == starts and all(len(w) == 16 for w in windows)

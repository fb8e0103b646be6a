"""What encoders are fed against what the originals' rules say, written down here from their definitions."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evals.encoders import Setup, create, dino, protocols
from evals.encoders.dino import Dino, position_embeddings
from evals.encoders.i3d import _shift_epsilon, load_inception
from evals.encoders.inflated import InflatedInception
from evals.encoders.raft import ITERATIONS, Raft
from evals.errors import UnknownName, WeightsError
from evals.extractors import dis
from evals.metrics.distances import FrechetVideoDistance
from evals.video import CenterCrop, Frames
from tests.conftest import ball
from tests.test_extractors import extracted, in_chunks

SIZES = [(160, 288), (288, 160), (135, 241), (360, 363), (480, 720), (256, 256), (199, 600)]


def picture(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5), np.uint8)


def tensor_of(frame: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float()


def squared(x: Tensor, side: int, antialias: bool) -> Tensor:
    """VideoGPT's rule: short side to `side`, the long one up to a whole pixel, margins down."""
    height, width = x.shape[-2:]
    factor = side / min(height, width)
    size = (side, math.ceil(width * factor)) if height < width else (math.ceil(height * factor), side)
    x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=antialias)
    top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
    return x[..., top : top + side, left : left + side]


def test_the_example_of_the_rule() -> None:
    """288 × 160 becomes 404 wide, since 403.2 is rounded up; the square begins at 90."""
    frame = picture((160, 288))
    wide = functional.interpolate(tensor_of(frame), (224, 404), mode="bilinear", align_corners=False)
    fed = protocols.I3D["videogpt"].resize.apply(frame)
    assert np.allclose(fed, wide[0, :, :, 90:314].permute(1, 2, 0), atol=2e-3)


@pytest.mark.parametrize("size", SIZES)
def test_videogpt_is_fed_its_own_pixels(size: tuple[int, int]) -> None:
    frame = picture(size)
    wanted = squared(tensor_of(frame), 224, antialias=False)[0].permute(1, 2, 0).numpy()
    assert np.abs(protocols.I3D["videogpt"].resize.apply(frame) - wanted).max() < 2e-3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "side"), [("cd-fvd", 128), ("cd-fvd-256", 256)])
def test_cd_fvd_is_fed_its_own_pixels(size: tuple[int, int], name: str, side: int) -> None:
    """Short side antialiased in floating point, cut down to bytes, then 224 without antialiasing. Sums in
    another order can cross a whole number, so a byte may be one off, and few are."""
    frame = picture(size)
    small = (squared(tensor_of(frame) / 255, side, antialias=True) * 255).byte()
    rule = protocols.I3D[name].resize
    mine = CenterCrop(side=side, rounding="ceil", via=side).apply(frame)
    off = mine.astype(int) - small[0].permute(1, 2, 0).numpy()
    assert np.abs(off).max() <= 1
    if side != min(size):
        assert (off != 0).mean() < 0.02 and abs(off.mean()) < 0.01
    wanted = functional.interpolate(small.float(), (224, 224), mode="bilinear", align_corners=False)
    assert np.abs(rule.apply(frame) - wanted[0].permute(1, 2, 0).numpy()).max() <= 1.002


@pytest.mark.parametrize("size", SIZES)
def test_both_inputs_of_content_debiased_fvd_can_be_chosen(size: tuple[int, int]) -> None:
    frame = picture(size)
    files, arrays = protocols.VIDEOMAE["cd-fvd"], protocols.VIDEOMAE["cd-fvd-arrays"]
    assert files.resize == protocols.I3D["cd-fvd-256"].resize
    wanted = functional.interpolate(tensor_of(frame), (224, 224), mode="bilinear", align_corners=False)
    assert np.abs(arrays.resize.apply(frame) - wanted[0].permute(1, 2, 0).numpy()).max() < 2e-3
    for name, protocol in (("videomae", files), ("videomae:cd-fvd-arrays", arrays)):
        metric = FrechetVideoDistance(name)
        assert metric.ddof == 0 and metric.protocol == f"{protocol.name}, ddof 0"
    with pytest.raises(UnknownName, match="cd-fvd-arrays"):
        FrechetVideoDistance("videomae:cd-fvd-array")


@pytest.mark.slow
def test_the_ports_epsilon_is_the_ports(tmp_path: Path) -> None:
    torch.save(InflatedInception(400).state_dict(), tmp_path / "rgb.pt")
    expected = {"stylegan-v": 1e-3, "videogpt": 1e-5, "cd-fvd": 1e-5, "cd-fvd-256": 1e-5}
    for name, epsilon in expected.items():
        encoder = create(f"i3d-native:{name}", {"i3d-native": tmp_path / "rgb.pt"})
        encoder.load("cpu")
        norms = [m for m in encoder._network.modules() if isinstance(m, nn.BatchNorm3d)]
        assert len(norms) == 57 and {m.eps for m in norms} == {epsilon}
        assert encoder.spec.version == (1 if name == "stylegan-v" else 2)
    assert load_inception(tmp_path / "rgb.pt").Mixed_3b.b0.bn.eps == 1e-3


def test_an_archives_epsilon_is_moved_through_its_variances() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4, eps=1e-3)).eval()
    block[1].running_var.fill_(0.002)  # type: ignore[operator]
    other = nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4, eps=1e-5)).eval()
    other.load_state_dict(block.state_dict())
    x = torch.randn(1, 3, 4, 8, 8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        script = torch.jit.script(block)
        before = script(x)
        _shift_epsilon(script, 1e-5, "i3d:videogpt")
        assert torch.allclose(script(x), other(x), rtol=1e-4)
        assert not torch.allclose(before, other(x), rtol=1e-2)
        with pytest.raises(WeightsError, match="i3d-native:videogpt"):
            _shift_epsilon(torch.jit.script(nn.Conv3d(3, 4, 3)), 1e-5, "i3d:videogpt")


# --- DINO ---


def cubic(distance: float, a: float = -0.75) -> float:
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def plainly(line: NDArray[np.float64], count: int, scale: float) -> NDArray[np.float64]:
    """Rows (n, d) read at the middles of `count` cells, four neighbours each, the border repeated."""
    found = []
    for i in range(count):
        at = (i + 0.5) / scale - 0.5
        first = math.floor(at)
        near = [(k, cubic(at - k)) for k in range(first - 1, first + 3)]
        found.append(sum(w * line[min(max(k, 0), len(line) - 1)] for k, w in near))
    return np.stack(found)


@pytest.mark.parametrize(("rows", "columns"), [(14, 22), (22, 14), (9, 30), (14, 14)])
def test_position_embeddings_are_read_as_dino_reads_them(rows: int, columns: int) -> None:
    """Scaled by (n + 0.1)/14, which is not n/14: the last cell lies a little further in."""
    learnt = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 197, 3)))
    found = position_embeddings(learnt, 14, rows, columns, rows == columns)[0].numpy()
    grid = learnt[0, 1:].numpy().reshape(14, 14, 3)
    if (rows, columns) != (14, 14):
        tall = plainly(grid.reshape(14, 42), rows, (rows + 0.1) / 14).reshape(rows, 14, 3)
        flat = tall.swapaxes(0, 1).reshape(14, rows * 3)
        grid = plainly(flat, columns, (columns + 0.1) / 14).reshape(columns, rows, 3).swapaxes(0, 1)
    assert np.array_equal(found[0], learnt[0, 0].numpy())
    assert np.allclose(found[1:], grid.reshape(-1, 3), atol=1e-9)


def test_nearly_square_is_not_square() -> None:
    """224 × 230 has 14 × 14 whole patches; the authors' code asks for equal sides, and scales by 14.1/14."""
    learnt = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 197, 3)))
    found = position_embeddings(learnt, 14, 14, 14, False)
    assert found.shape == learnt.shape and not torch.allclose(found, learnt, atol=1e-2)
    grid = learnt[0, 1:].numpy().reshape(14, 42)
    wanted = plainly(grid, 14, 14.1 / 14).reshape(14, 14, 3).swapaxes(0, 1).reshape(14, 42)
    wanted = plainly(wanted, 14, 14.1 / 14).reshape(14, 14, 3).swapaxes(0, 1).reshape(-1, 3)
    assert np.allclose(found[0, 1:], wanted, atol=1e-9)


def test_dino_uses_them_off_square(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    small = "vit_tiny_patch16_224"
    monkeypatch.setitem(dino.MODELS, "dino", small)
    weights = tmp_path / "vit.pt"
    torch.save(timm.create_model(small, pretrained=False).state_dict(), weights)
    encoder = Dino("dino", Setup(weights))
    encoder.load("cpu")
    frame = encoder.resize.apply(picture((320, 512)))
    assert frame.shape == (224, 358, 3)
    found = encoder.encode(torch.from_numpy(frame)[None, None])["features"][0, 0]
    plain = timm.create_model(small, pretrained=False, num_classes=0, img_size=(224, 352))
    state = {k: v for k, v in torch.load(weights).items() if not k.startswith("head.")}
    state["pos_embed"] = position_embeddings(state["pos_embed"], 14, 14, 22, False)
    plain.load_state_dict(state)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = (torch.from_numpy(frame[:, :352].copy()).permute(2, 0, 1) / 255 - mean) / std
    with torch.inference_mode():
        wanted = plain.eval()(pixels[None])[0]
    assert torch.allclose(found, wanted, atol=1e-5)
    other = create(f"timm:{small}", {f"timm:{small}": weights})
    other.load("cpu")
    timms = other.encode(torch.from_numpy(frame[:, :352].copy())[None, None])["features"][0, 0]
    assert float((timms - found).norm() / found.norm()) > 1e-4


# --- processors of transformers ---


@pytest.mark.parametrize("size", [(480, 720), (135, 241), (241, 135), (360, 363), (720, 1280), (320, 512)])
def test_vjepa2_is_fed_what_its_processor_feeds(size: tuple[int, int]) -> None:
    frame = picture(size)
    processor = transformers.VJEPA2VideoProcessor()
    assert processor.size["shortest_edge"] == 292
    pixels = processor(
        [torch.from_numpy(frame[None]).permute(0, 3, 1, 2)], return_tensors="pt", do_normalize=False,
        do_rescale=False,
    )["pixel_values_videos"][0, 0]  # fmt: skip
    rule = CenterCrop(side=256, short=int(256 * 256 / 224), filter="bilinear", rounding="floor")
    fed = rule.apply(frame)
    off = np.abs(fed.astype(float) - pixels.permute(1, 2, 0).float().numpy())
    assert off.max() <= 1 and (off > 0).mean() < 0.02  # Pillow and torch round a few bytes differently


@pytest.mark.parametrize("size", [(480, 720), (135, 241), (241, 135), (360, 363), (225, 300)])
def test_xclip_is_fed_what_its_processor_feeds(size: tuple[int, int]) -> None:
    frame = picture(size)
    processor = transformers.VideoMAEImageProcessor()
    pixels = processor([frame], return_tensors="np", do_normalize=False, do_rescale=False)["pixel_values"]
    fed = CenterCrop(side=224, filter="bilinear", rounding="floor").apply(frame)
    off = np.abs(fed.astype(float) - np.asarray(pixels, float)[0, 0].transpose(1, 2, 0))
    assert off.max() <= 1 and (off > 0).mean() < 0.02


# --- flow ---


def test_vbench_takes_its_padding_into_the_largest_displacements(tmp_path: Path) -> None:
    from torchvision.models.optical_flow import raft_large

    torch.manual_seed(0)
    network = raft_large(weights=None, progress=False).eval()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    encoder = Raft("raft-large:vbench", Setup(tmp_path / "raft.pth"))
    encoder.load("cpu")
    frames = ball(2, (130, 141), step=3.0)
    window = torch.from_numpy(frames[[0, 0, 1]])[None]
    found = encoder.encode(window)
    # 130 and 141 are padded to 136 and 144, evenly, the odd one after.
    x, y = (functional.pad(tensor_of(f) / 127.5 - 1, (1, 2, 3, 3), mode="replicate") for f in frames)
    with torch.inference_mode():
        flow = network(torch.cat([x, y]), torch.cat([y, x]), num_flow_updates=ITERATIONS)[-1][0]
    lengths = np.sort(flow.square().sum(0).sqrt().numpy().ravel())[::-1]
    top = lengths[: int(lengths.size * 0.05)].mean() * 256 / 130
    assert float(found["top5"]) == pytest.approx(float(top), rel=1e-3)
    inner = flow[:, 3:133, 1:142].square().sum(0).sqrt()
    assert float(found["magnitude"]) == pytest.approx(float(inner.mean()), rel=1e-3)


def test_dis_depends_on_its_two_frames_alone() -> None:
    grey = _greys(np.stack([picture((96, 128), seed) for seed in range(4)]))
    first = dis.flow(grey[0], grey[1])
    for other in (grey[2], np.full((96, 128), 255, np.uint8)):
        dis.flow(other, grey[3])
        assert np.array_equal(dis.flow(grey[0], grey[1]), first)


def test_noise_on_a_still_scene_is_no_motion() -> None:
    """What a camera's or a codec's noise moves has no texture that moves with it."""
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.integers(0, 256, (128, 160, 3)).astype(np.float32), (0, 0), 6)
    scene = 110 + (scene - scene.mean()) * 2
    clip = np.stack([np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255) for _ in range(3)])
    still = extracted("dis-strided", in_chunks(clip.astype(np.uint8), [3]))["top5"]
    believed_blindly = dis._top5(dis.magnitude(dis.flow(*_greys(clip[:2].astype(np.uint8))))) * 2
    assert still.max() < 0.1 * believed_blindly and believed_blindly > 0.5


def _greys(frames: NDArray[np.uint8]) -> list[Frames]:
    return [np.asarray(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), np.uint8) for f in frames]


@pytest.mark.parametrize("step", [1, 3, 6])
def test_real_motion_keeps_its_size(step: int) -> None:
    big = picture((200, 260))
    clip = np.stack([big[20:148, 20 + step * t : 180 + step * t] for t in range(3)])
    found = extracted("dis-strided", in_chunks(clip, [3]))["top5"] / 2  # at a short side of 256
    assert found == pytest.approx([step] * len(found), rel=0.15)

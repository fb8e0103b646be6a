"""Consistency, LPIPS and aesthetic score on published networks with random weights: the code paths and the
formulas, against slow versions on real clips."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import lpips
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

from evals.encoders import ENCODERS, CrossEncoder, TextEncoder, create
from evals.encoders.dino import Dino
from evals.errors import UsageError, WeightsError
from evals.metrics.base import Skip
from evals.records import Spec
from evals.scoring import prepare
from evals.video import CenterCrop, Resize, ShortSide, encode
from tests.conftest import Cli, MakeClips, ball
from tests.helpers import number
from tests.helpers import score_of as score
from tests.test_flow import frames_of

TINY = "timm:vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision transformer of timm's with random weights, as its hub file would be."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vit") / "model.safetensors"
    save_file(timm.create_model("vit_tiny_patch16_224", pretrained=False).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's AlexNet with random weights, in its file's format."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize("size", [(240, 320), (320, 240), (64, 96), (135, 241), (360, 363)])
@pytest.mark.parametrize("how", ["dino", "clip"])
def test_frames_are_resized_as_torchvision_does_without_antialiasing(size: tuple[int, int], how: str) -> None:
    """VBench's code hands float tensors to torchvision's Resize: bilinear for DINO, bicubic for CLIP."""
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    theirs = torch.from_numpy(frame).permute(2, 0, 1).float()
    if how == "dino":
        rule: Resize = ShortSide(side=224, filter="linear", multiple=16)
        theirs = resize(theirs, [224], InterpolationMode.BILINEAR, antialias=False)
        theirs = theirs[:, : theirs.shape[1] // 16 * 16, : theirs.shape[2] // 16 * 16]
    else:
        rule = CenterCrop(side=224, filter="cubic")
        theirs = center_crop(resize(theirs, [224], InterpolationMode.BICUBIC, antialias=False), [224])
    mine = rule.apply(frame)
    assert mine.shape == tuple(theirs.permute(1, 2, 0).shape) and rule.dtype == "float32"
    assert np.abs(mine - theirs.permute(1, 2, 0).numpy()).max() < 2e-2


def slowly(features: NDArray[np.float64]) -> float:
    """VBench's formula, frame by frame."""
    total = 0.0
    for t in range(1, len(features)):
        for other in (features[t - 1], features[0]):
            a, b = features[t], other
            total += max(0.0, float(a @ b) / float(np.sqrt(a @ a) * np.sqrt(b @ b))) / 2
    return total / (len(features) - 1)


def test_subject_consistency_on_real_clips_equals_a_slow_version(
    tiny_vit: Path, assets: Path, cli: Cli, tmp_path: Path
) -> None:
    """The whole path, with three sizes of video in one batch shape each, against timm's own forward."""
    folder = tmp_path / "clips"
    folder.mkdir()
    sources = [assets / "fetv" / m / "1.mp4" for m in ("zeroscope", "cogvideo")] + [assets / "ucf" / "00.mp4"]
    lines = []
    for i, source in enumerate(s for s in sources if s.exists()):
        encode(folder / f"{i}.mkv", frames_of(source)[:6], 8, "ffv1")
        lines.append(json.dumps({"path": f"{i}.mkv", "prompt": f"clip {i}"}))
    assert len(lines) > 1
    (folder / "videos.jsonl").write_text("\n".join(lines))
    metric = f"subject_consistency[{TINY}]"
    base = ("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs")
    assert cli(*base, "--metrics", metric, "--weights", f"{TINY}={tiny_vit}").code == 0
    scores = (tmp_path / "runs" / "clips" / "scores/main.jsonl").read_text().splitlines()
    found = sorted(json.loads(x)["scores"][metric]["value"] for x in scores)
    network = timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, num_classes=0, dynamic_img_size=True
    ).eval()
    from safetensors.torch import load_file

    state = {k: v for k, v in load_file(tiny_vit).items() if not k.startswith("head.")}
    network.load_state_dict(state)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = []
    for path in sorted(folder.glob("*.mkv")):
        features = []
        for frame in frames_of(path):
            image = torch.from_numpy(frame.copy()).permute(2, 0, 1).float()
            image = resize(image, [224], InterpolationMode.BILINEAR, antialias=False)
            image = image[:, : image.shape[1] // 16 * 16, : image.shape[2] // 16 * 16]
            with torch.inference_mode():
                features.append(network(((image / 255 - mean) / std)[None])[0].double().numpy())
        expected.append(slowly(np.stack(features)))
    assert found == pytest.approx(sorted(expected), abs=2e-5)
    assert max(found) - min(found) > 1e-3  # they differ by more than the tolerance


def test_background_consistency_on_every_frame_as_vbench(tiny_clip: Path) -> None:
    import open_clip

    name = "tiny/random:vbench"
    encoder = create(name, {"tiny/random": tiny_clip})
    encoder.load("cpu")
    clip = ball(21, (90, 70), step=2.0)
    windows = encoder.frames.windows(len(clip))
    assert windows == [[t] for t in range(21)]
    frames = np.stack([encoder.resize.apply(f) for f in clip])[:, None]
    parts = []
    for start in range(0, 21, encoder.batch):
        batch = np.zeros((encoder.batch, *frames.shape[1:]), np.float32)
        batch[: len(frames[start : start + encoder.batch])] = frames[start : start + encoder.batch]
        parts.append(encoder.encode(torch.from_numpy(batch))["features"].numpy())
    rows = {f"encoder:{name}": {"features": np.concatenate(parts)[:21]}}
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip}")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.48, 0.46, 0.41), (0.27, 0.26, 0.28)))
    features = []
    for frame in clip:
        image = torch.from_numpy(frame).permute(2, 0, 1).float()
        image = center_crop(resize(image, [64], InterpolationMode.BICUBIC, antialias=False), [64])
        with torch.inference_mode():
            features.append(model.eval().encode_image(((image / 255 - mean) / std)[None])[0].double().numpy())
    assert number(score(f"background_consistency[{name}]", rows)) == pytest.approx(
        slowly(np.stack(features)), abs=1e-5
    )
    assert isinstance(score(f"background_consistency[{name}]", rows, cuts=True), Skip)
    assert encoder.spec != create("tiny/random", {"tiny/random": tiny_clip}).spec


def test_identical_frames_are_the_extreme_and_opposite_ones_do_not_count_below_zero() -> None:
    same = {"encoder:a/b": {"features": np.repeat([[[3.0, 4.0]]], 5, 0)}}
    for name in ("subject_consistency", "background_consistency", "clip_consistency"):
        assert number(score(f"{name}[a/b]", same)) == pytest.approx(1.0, abs=1e-12)
        assert isinstance(score(f"{name}[a/b]", same, cuts=True), Skip)
        one = {"encoder:a/b": {"features": np.ones((1, 1, 2))}}
        assert isinstance(score(f"{name}[a/b]", one), Skip)
    opposite = {"encoder:a/b": {"features": np.array([[[1.0, 0]], [[-1.0, 0]], [[0, 1.0]]])}}
    assert number(score("subject_consistency[a/b]", opposite)) == 0.0
    # f₂ = f₁ turned by 90°, f₃ = f₁: cosines to the frame before 0, 0; to the first 0, 1.
    turned = {"encoder:a/b": {"features": np.array([[[1.0, 0]], [[0, 1.0]], [[1.0, 0]]])}}
    assert number(score("subject_consistency[a/b]", turned)) == pytest.approx(0.25)


def slow_lpips(alexnet: Path, a: Tensor, b: Tensor) -> float:
    """Zhang et al.'s distance of two pictures (3, H, W) in [-1, 1], read off the paper: AlexNet's five ReLUs,
    unit channels, squared differences weighed by the heads, mean over places, sum over layers."""
    heads = torch.load(
        Path(lpips.__file__).parent / "lpips_models" / "alex.pth", map_location="cpu", weights_only=True
    )
    trunk = torchvision.models.alexnet(weights=None)
    trunk.load_state_dict(torch.load(alexnet, weights_only=True))
    x = torch.stack([a, b]) - torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    x = x / torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    total, layer = 0.0, 0
    with torch.inference_mode():
        for place, step in enumerate(trunk.features.eval()):
            x = step(x)
            if place in (1, 4, 7, 9, 11):
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
                weight = heads[f"lin{layer}.model.1.weight"].view(-1, 1, 1)
                total += float((weight * (unit[0] - unit[1]).square()).sum(0).mean())
                layer += 1
    return total


def test_lpips_equals_a_slow_version_and_is_zero_for_a_still_picture(alexnet: Path) -> None:
    encoder = create("lpips-alex", {"lpips-alex": alexnet})
    encoder.load("cpu")
    clip = ball(9, (80, 100), step=3.0)
    clip[5:] = clip[5]
    windows = [np.stack([encoder.resize.apply(clip[t]) for t in w]) for w in encoder.frames.windows(9)]
    assert len(windows) == encoder.batch == 8
    found = encoder.encode(torch.from_numpy(np.stack(windows)))["lpips"].numpy()
    images = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 127.5 - 1
    for t in range(8):
        assert float(found[t, 0, 0]) == pytest.approx(slow_lpips(alexnet, images[t], images[t + 1]), abs=1e-6)
    assert (found[5:] == 0).all() and (found[:5] > 1e-4).all()
    rows = {"encoder:lpips-alex": {"lpips": found}}
    assert number(score("lpips_temporal[lpips-alex]", rows)) == pytest.approx(float(found.mean()))
    assert isinstance(score("lpips_temporal[lpips-alex]", rows, cuts=True), Skip)


def test_checkpoints_of_other_architectures_are_refused(
    tiny_vit: Path, alexnet: Path, tmp_path: Path
) -> None:
    for name, path in ((TINY, alexnet), ("lpips-alex", tiny_vit), ("timm:vit_small_patch16_224", tiny_vit)):
        with pytest.raises(WeightsError, match=path.name.replace(".", r"\.")):
            create(name, {name: path}).load("cpu")
    with pytest.raises(WeightsError, match="no transformer of this name"):
        create("timm:resnet18", {"timm:resnet18": tiny_vit})
    with pytest.raises(WeightsError, match="weights fetch 'dino'"):
        create("dino", {})
    with pytest.raises(WeightsError, match="weights fetch alexnet"):
        create("lpips-alex", {})
    with pytest.raises(WeightsError, match="gone"):
        create("lpips-alex", {"lpips-alex": tmp_path / "gone.pth"})


def test_aesthetic_is_the_published_linear_head(
    assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_clip: Path
) -> None:
    with pytest.raises(WeightsError, match="weights fetch aesthetic"):
        monkeypatch.setenv("T2V_EVALS_WEIGHTS", str(tmp_path))
        prepare(["aesthetic[tiny/random]"], {"tiny/random": tiny_clip})
    head = assets / "weights" / "laion_aesthetic_vit_l_14_linear.pth"
    (tmp_path / "sa_0_4_vit_l_14_linear.pth").write_bytes(head.read_bytes())
    features = np.random.default_rng(0).normal(size=(5, 1, 768)).astype(np.float32)
    found = number(score("aesthetic[x/y]", {"encoder:x/y": {"features": features}}))
    linear = torch.nn.Linear(768, 1)
    linear.load_state_dict(torch.load(head, weights_only=True))
    unit = torch.nn.functional.normalize(torch.from_numpy(features[:, 0]), dim=-1)
    with torch.inference_mode():
        assert found == pytest.approx(float((linear(unit) / 10).mean()), abs=1e-5)
    with pytest.raises(WeightsError, match="768"):
        score("aesthetic[x/y]", {"encoder:x/y": {"features": features[..., :512]}})
    damaged = bytearray(head.read_bytes())
    damaged[2000] ^= 1
    (tmp_path / "sa_0_4_vit_l_14_linear.pth").write_bytes(damaged)
    with pytest.raises(WeightsError, match="SHA-256"):
        prepare(["aesthetic[tiny/random]"], {"tiny/random": tiny_clip})


def test_bf16_is_another_number_with_another_name(tiny_vit: Path, tiny_clip: Path) -> None:
    full, half = (create(TINY, {TINY: tiny_vit}, p) for p in ("fp32", "bf16"))
    assert half.spec.params["precision"] == "bf16" and half.spec != full.spec
    frames = torch.from_numpy(
        np.random.default_rng(0).uniform(0, 255, (8, 1, 224, 224, 3)).astype(np.float32)
    )
    found: list[Tensor] = []
    for encoder in (full, half):
        encoder.load("cpu")
        found.append(encoder.encode(frames)["features"][:, 0].double())
    cosine = torch.nn.functional.cosine_similarity(found[0], found[1])
    assert 0.99 < float(cosine.min()) < 1 and found[1].dtype == torch.float64
    assert isinstance(full, Dino)
    text = create("tiny/random", {"tiny/random": tiny_clip}, "bf16")
    assert isinstance(text, TextEncoder) and not isinstance(text, CrossEncoder)
    assert not isinstance(half, TextEncoder)


class Fixed(Dino):
    """A network that computes in a precision of its own."""

    def describe(self, family: str, version: int, **params: object) -> Spec:
        spec = super().describe(family, version, **params)
        return spec.model_copy(update={"params": {**spec.params, "precision": "fp16"}})


def test_an_encoder_of_fixed_precision_refuses_another(
    tiny_vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS._table, "timm:*", Fixed)
    with pytest.raises(UsageError, match="a precision of its own"):
        create(TINY, {TINY: tiny_vit}, "bf16")


@pytest.mark.slow
def test_odd_videos_through_the_backbones(
    tiny_vit: Path, tiny_clip: Path, alexnet: Path, clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    """One and two frames, 4K, grey and 16 bits: each is scored or skipped with a reason, none fails."""
    folder = clips("odd").folder
    folder.mkdir(parents=True)
    picture = cv2.resize(ball(1, (90, 160))[0], (3840, 2160))
    made = {"one.mkv": ball(1), "two.mkv": ball(2), "uhd.mkv": np.stack([picture] * 3)}
    for name, frames in made.items():
        encode(folder / name, frames, 8, "ffv1")
    import av

    for name, layout, pixel in (("grey.mkv", "gray", "gray"), ("deep.mkv", "rgb48le", "gbrp16le")):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("ffv1", rate=8)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixel
            for frame in ball(4):
                raw = frame[..., 0] if layout == "gray" else frame.astype(np.uint16) * 257
                container.mux(stream.encode(av.VideoFrame.from_ndarray(raw, layout)))
            container.mux(stream.encode(None))
    names = ["deep.mkv", "grey.mkv", *made]
    text = "".join(json.dumps({"path": n, "prompt": f"a clip called {n}"}) + "\n" for n in names)
    (folder / "videos.jsonl").write_text(text)
    metrics = [
        f"subject_consistency[{TINY}]",
        "lpips_temporal[lpips-alex]",
        *(f"{m}[tiny/random]" for m in ("background_consistency", "clip_similarity", "retrieval_r1")),
    ]
    found = cli(
        "run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", ",".join(metrics),
        "--weights", f"{TINY}={tiny_vit}", "--weights", f"tiny/random={tiny_clip}",
        "--weights", f"lpips-alex={alexnet}",
    )  # fmt: skip
    assert found.code == 0, found.err
    lines = [json.loads(x) for x in (tmp_path / "odd" / "scores/main.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    for line in lines:
        for name, one in line["scores"].items():
            if "one" in line["prompt_id"] and ("consistency" in name or "lpips" in name):
                assert one["status"] == "skipped" and one["reason"] == "too_few_frames"
            else:
                assert one["status"] == "ok", (line["prompt_id"], name, one)

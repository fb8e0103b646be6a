"""I3D against a slow forward written independently, its protocols, and the archive that is code."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from evals import frechet_distance, video
from evals.decoding.windows import WindowCutter
from evals.encoders import Setup, create
from evals.encoders import published as weights
from evals.encoders.i3d import NativeI3D, ScriptedI3D, load_inception
from evals.encoders.inflated import InflatedInception, same_padding
from evals.encoders.protocols import I3D, protocol_of
from evals.encoders.published import WeightFile
from evals.errors import DoesNotApply, UnknownName, WeightsError
from evals.metrics.distances import FrechetVideoDistance
from tests.conftest import Cli, MakeClips, ball


def network(classes: int = 7, seed: int = 0) -> InflatedInception:
    """Random weights and statistics, with values that stay in range through 57 layers."""
    torch.manual_seed(seed)
    net = InflatedInception(classes).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    return net


def slowly(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The network in float64 from its description: pads counted out, batch norm folded into the kernels,
    pooling by windows that skip what lies outside."""
    state = {k: v.double() for k, v in state.items()}
    x = x.double()

    def pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
        covered = (math.ceil(size / stride) - 1) * stride + kernel
        extra = max(covered - size, 0)
        return extra // 2, extra - extra // 2

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv3d.weight"]
        factor = state[f"{name}.bn.weight"] / torch.sqrt(state[f"{name}.bn.running_var"] + 1e-3)
        bias = state[f"{name}.bn.bias"] - factor * state[f"{name}.bn.running_mean"]
        kernel = weight.shape[2]
        framed = x
        for axis in (2, 3, 4):
            before, after = pads(x.shape[axis], kernel, stride)
            shape = list(framed.shape)
            for count, first in ((before, True), (after, False)):
                shape[axis] = count
                zeros = framed.new_zeros(shape)
                framed = torch.cat([zeros, framed] if first else [framed, zeros], axis)
        folded = weight * factor[:, None, None, None, None]
        return functional.conv3d(framed, folded, bias, stride).clamp(min=0)

    def pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
        for axis, k, s in zip((2, 3, 4), kernel, stride, strict=True):
            size = x.shape[axis]
            before, _ = pads(size, k, s)
            parts = []
            for i in range(math.ceil(size / s)):
                low, high = max(i * s - before, 0), min(i * s - before + k, size)
                parts.append(x.narrow(axis, low, high - low).amax(axis, keepdim=True))
            x = torch.cat(parts, axis)
        return x

    def mixed(x: Tensor, name: str) -> Tensor:
        return torch.cat(
            [
                unit(x, f"{name}.b0"),
                unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
                unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
                unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
            ],
            1,
        )

    x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    x = pool(mixed(mixed(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    x = mixed(mixed(pool(x, (2, 2, 2), (2, 2, 2)), "Mixed_5b"), "Mixed_5c")
    windows = [
        x[:, :, t : t + 2, r : r + 7, c : c + 7].mean((2, 3, 4))
        for t in range(x.shape[2] - 1)
        for r in range(x.shape[3] - 6)
        for c in range(x.shape[4] - 6)
    ]
    kernel = state["logits.conv3d.weight"][:, :, 0, 0, 0]
    return torch.stack([w @ kernel.T + state["logits.conv3d.bias"] for w in windows]).mean(0)


@pytest.mark.parametrize(("frames", "height", "width"), [(9, 224, 224), (16, 209, 223), (30, 195, 226)])
def test_it_equals_a_slow_forward(frames: int, height: int, width: int) -> None:
    net = network()
    x = torch.rand(1, 3, frames, height, width) * 2 - 1
    with torch.inference_mode():
        fast, slow = net(x), slowly(net.state_dict(), x)
    assert fast.shape == (1, 7) and slow.abs().max() > 1e-3
    assert torch.allclose(fast.double(), slow, rtol=1e-5, atol=1e-5 * float(slow.abs().max()))


def test_it_has_the_published_size() -> None:
    net = InflatedInception()
    assert sum(p.numel() for p in net.parameters()) == 12_697_264
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm3d)]
    assert len(norms) == 57 and {m.eps for m in norms} == {1e-3}
    assert sum(isinstance(m, nn.Conv3d) for m in net.modules()) == 58
    names = {"Conv3d_1a_7x7.conv3d.weight", "Mixed_5c.b3b.bn.running_var", "logits.conv3d.bias"}
    assert names <= set(net.state_dict())


@pytest.mark.parametrize(("shape", "message"), [((8, 224, 224), "8 frames"), ((16, 192, 224), "224×192")])
def test_too_little_to_see_is_a_typed_error(shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(DoesNotApply, match=message):
        InflatedInception(3)(torch.zeros(1, 3, *shape))


def test_same_padding_is_tensorflows() -> None:
    assert [same_padding(n, 7, 2) for n in (224, 223, 9)] == [(2, 3), (3, 3), (3, 3)]
    assert [same_padding(n, 3, 2) for n in (112, 5, 2)] == [(0, 1), (1, 1), (0, 1)]
    assert same_padding(5, 1, 1) == (0, 0) and same_padding(4, 2, 2) == (0, 0)


class Script(nn.Module):
    """Stands in for the published archive: its call, resizing and scaling, on a tiny network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.norm = nn.BatchNorm3d(3, eps=1e-3)
        self.net = nn.Conv3d(3, 400, (3, 56, 56), (2, 56, 56))

    def forward(
        self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> Tensor:
        x = x.float()
        if resize:
            b, c, t, h, w = x.shape
            flat = x.permute(0, 2, 1, 3, 4).reshape(b * t, c, h, w)
            flat = torch.nn.functional.interpolate(
                flat, size=(224, 224), mode="bilinear", align_corners=False
            )
            x = flat.reshape(b, t, c, 224, 224).permute(0, 2, 1, 3, 4)
        if rescale:
            x = x / 127.5 - 1
        y: Tensor = self.net(self.norm(x)).mean((2, 3, 4))
        return y if return_features else y.softmax(1)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TorchScript file that the table takes for the published one."""
    path = tmp_path / "weights" / "net.pt"
    path.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Script().eval()).save(str(path))  # type: ignore[no-untyped-call]
    data = path.read_bytes()
    row = WeightFile("i3d", "net.pt", "", len(data), hashlib.sha256(data).hexdigest(), "none", "tests")
    monkeypatch.setattr(weights, "WEIGHTS", {"i3d": row})
    monkeypatch.setenv(weights.VARIABLE, str(path.parent))
    return path


def windows(encoder: ScriptedI3D | NativeI3D, path: Path) -> Tensor:
    opened = video.probe(path)
    cutter = WindowCutter(encoder.frames, encoder.resize, opened.facts.frames)
    found = [w for chunk in video.decode(opened) for _, w in cutter.step(chunk)]
    batch = np.zeros((encoder.batch, *found[0].shape), found[0].dtype)
    batch[0] = found[0]
    return torch.from_numpy(batch)


def test_the_archive_gives_what_it_gives_on_whole_frames(archive: Path, assets: Path) -> None:
    """Resized in the decoder or inside the network: the same features."""
    encoder = ScriptedI3D("i3d")
    encoder.load("cpu")
    clip = sorted((assets / "fetv" / "gt").glob("*.mp4"))[0]
    ours = encoder.encode(windows(encoder, clip))["features"]
    assert ours.shape == (4, 1, 400) and ours.dtype == torch.float32
    whole = torch.from_numpy(video.read(clip)[0][:16]).permute(3, 0, 1, 2)[None]
    with torch.inference_mode():
        theirs = Script().eval()(whole, rescale=True, resize=True, return_features=True)
    assert torch.allclose(ours[0], theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_nothing_opens_an_archive_with_another_hash(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    monkeypatch.setattr(torch.jit, "load", lambda *a, **k: pytest.fail("was opened"))
    with pytest.raises(WeightsError, match="it was not opened"):
        ScriptedI3D("i3d")
    archive.unlink()
    with pytest.raises(WeightsError, match="weights fetch i3d"):
        create("i3d", {})


def test_the_native_one_loads_ports_and_refuses_other_files(tmp_path: Path) -> None:
    net = network(400)
    path = tmp_path / "rgb.pt"
    state = {f"module.{k}": v for k, v in net.state_dict().items() if "num_batches" not in k}
    torch.save({"state_dict": state}, path)
    loaded = load_inception(path)
    assert all(
        torch.equal(v, loaded.state_dict()[k]) for k, v in net.state_dict().items() if "num_b" not in k
    )
    encoder = NativeI3D("i3d-native", Setup(path))
    encoder.load("cpu")
    x = torch.randint(0, 256, (1, 9, 224, 224, 3), dtype=torch.uint8).float()
    with torch.inference_mode():
        direct = net(x.permute(0, 4, 1, 2, 3) / 127.5 - 1)
    assert torch.allclose(encoder.encode(x)["features"][:, 0], direct, rtol=1e-5, atol=1e-5)
    encoder.unload()
    del state["module.logits.conv3d.bias"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"logits\.conv3d\.bias"):
        load_inception(path)
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"rgb\.pt"):
        load_inception(path)
    with pytest.raises(WeightsError, match="--weights"):
        NativeI3D("i3d-native")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("code was run",))


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"logits.conv3d.weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        load_inception(tmp_path / "evil.pt")


def test_protocols_are_part_of_the_identity(archive: Path) -> None:
    encoders = {name: ScriptedI3D(f"i3d:{name}") for name in I3D}
    assert len({e.spec.digest for e in encoders.values()}) == len(I3D)
    assert ScriptedI3D("i3d").spec == encoders["stylegan-v"].spec
    assert FrechetVideoDistance("i3d").ddof == 0 and FrechetVideoDistance("i3d:videogpt").ddof == 1
    assert "videogpt" in FrechetVideoDistance("i3d:videogpt").protocol
    with pytest.raises(UnknownName, match="did you mean 'videogpt'"):
        FrechetVideoDistance("i3d:videogtp")
    assert protocol_of("embedded") is None


def test_stylegan_v_stretches_without_antialiasing() -> None:
    frame = ball(1, (96, 128))[0]
    tensor = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    wanted = functional.interpolate(tensor, (224, 224), mode="bilinear", align_corners=False)
    stretched = I3D["stylegan-v"].resize.apply(frame)
    assert stretched.dtype == np.float32 and stretched.shape == (224, 224, 3)
    assert np.allclose(stretched, wanted[0].permute(1, 2, 0), atol=2e-3)


def test_fvd_on_the_archive_from_clips_to_table(
    archive: Path, clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    for name, frames in (("a", 18), ("b", 18)):
        folder = clips(name).write(prompts=6, frames=frames).folder
        done = cli(
            "run",
            "--generator",
            f"folder:{folder}",
            "--out",
            tmp_path,
            "--metrics",
            "fvd[i3d],kvd[i3d:videogpt]",
        )
        assert done.code == 0, done.err
    done = cli(
        "compare", tmp_path / "a", "--reference", tmp_path / "b", "--out", tmp_path / "r", "--videos", 0
    )
    assert done.code == 0 and "far too few" in done.err
    table = (tmp_path / "r" / "distributions.csv").read_text()
    assert '"stylegan-v, ddof 0"' in table and "fvd[i3d]" in table


@pytest.mark.nightly
def test_a_row_does_not_depend_on_its_place_or_company(tmp_path: Path) -> None:
    path = tmp_path / "rgb.pt"
    torch.save(network(400).state_dict(), path)
    encoder = NativeI3D("i3d-native", Setup(path))
    encoder.load("cpu")
    rng = np.random.default_rng(0)
    batch = torch.from_numpy(rng.uniform(0, 255, (4, 16, 224, 224, 3)).astype(np.float32))
    whole = encoder.encode(batch)["features"]
    assert torch.equal(encoder.encode(batch[[2, 0, 3, 1]])["features"], whole[[2, 0, 3, 1]])
    alone = torch.zeros_like(batch)
    alone[3] = batch[1]
    assert torch.equal(encoder.encode(alone)["features"][3], whole[1])


def test_black_against_white_gives_the_published_distance() -> None:
    """8 videos of 30 frames each: 151.39 in TensorFlow, 151.256 in a PyTorch port. The covariances are 0."""
    try:
        weights.locate("i3d")
    except WeightsError as error:
        pytest.skip(f"needs the published network: {error}")
    encoder = ScriptedI3D("i3d")
    encoder.load("cpu")
    black = torch.zeros(2, 30, 224, 224, 3)
    rows = [np.repeat(encoder.encode(x)["features"][:1, 0].numpy(), 8, 0) for x in (black, black + 255)]
    assert frechet_distance(rows[0], rows[1], ddof=0) == pytest.approx(151.3, abs=0.5)

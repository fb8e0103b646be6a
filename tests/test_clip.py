"""CLIP through open_clip, on a small randomly initialised checkpoint loaded through the real code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from evals import metrics
from evals.decoding.windows import WindowCutter
from evals.encoders import Setup, create
from evals.encoders.clip import OpenClip
from evals.errors import DoesNotApply, UnknownName, WeightsError
from evals.metrics.base import Skip, Value
from evals.runs.features import Features
from evals.video import Chunk, SpacedWindows, SpreadFrames, Stretch
from tests.conftest import ball
from tests.helpers import number, score_of

NAME = "tiny/random"


@pytest.fixture(scope="module")
def encoder(tiny_clip: Path) -> OpenClip:
    found = create(NAME, {NAME: tiny_clip})
    assert isinstance(found, OpenClip)
    found.load("cpu")
    return found


def text_features(encoder: OpenClip, texts: list[str]) -> list[Features]:
    found = [one for one in encoder.encode_text(texts) if not isinstance(one, DoesNotApply)]
    assert len(found) == len(texts)
    return found


@pytest.fixture(scope="module")
def theirs(tiny_clip: Path) -> tuple[torch.nn.Module, object]:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip}")
    return model.eval(), preprocess


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (64, 48), (120, 213), (213, 121), (65, 500), (20, 31)])
def test_preprocessing_equals_open_clips_own(
    encoder: OpenClip, theirs: tuple[torch.nn.Module, object], size: tuple[int, int]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mine = torch.from_numpy(encoder.resize.apply(frame).copy()).permute(2, 0, 1).float() / 255
    mine = (mine - encoder._mean[0, 0]) / encoder._std[0, 0]
    other = theirs[1](Image.fromarray(frame))  # type: ignore[operator]
    assert mine.shape == other.shape and (mine - other).abs().max() < 1e-6


def test_features_equal_open_clips_own(encoder: OpenClip, theirs: tuple[torch.nn.Module, object]) -> None:
    frames = ball(5, (70, 111))
    prepared = np.stack([encoder.resize.apply(f) for f in frames])
    batch = np.zeros((16, 1, 64, 64, 3), np.uint8)
    batch[:5, 0] = prepared
    mine = encoder.encode(torch.from_numpy(batch))["features"][:5, 0]
    model, preprocess = theirs
    with torch.inference_mode():
        pictures = torch.stack([preprocess(Image.fromarray(f)) for f in frames])  # type: ignore[operator]
        other = model.encode_image(pictures)  # type: ignore[operator]
        words = model.encode_text(open_clip.tokenize(["a red ball"], context_length=32))  # type: ignore[operator]
    assert torch.allclose(mine, other, atol=1e-5)
    rows = text_features(encoder, ["a red ball"])[0]
    assert np.allclose(rows["features"], words.numpy(), atol=1e-5)


def test_a_row_does_not_depend_on_its_place_or_company(encoder: OpenClip) -> None:
    rng = np.random.default_rng(1)
    batch = rng.integers(0, 256, (16, 1, 64, 64, 3), dtype=np.uint8)
    whole = encoder.encode(torch.from_numpy(batch))["features"]
    order = rng.permutation(16)
    assert torch.equal(encoder.encode(torch.from_numpy(batch[order]))["features"], whole[order])
    alone = np.zeros_like(batch)
    alone[9] = batch[2]
    assert torch.equal(encoder.encode(torch.from_numpy(alone))["features"][9], whole[2])


def test_texts_do_not_depend_on_their_company(encoder: OpenClip) -> None:
    texts = [f"number {i}" for i in range(20)]
    together = text_features(encoder, texts)
    for text, rows in zip(texts, together, strict=True):
        assert np.array_equal(text_features(encoder, [text])[0]["features"], rows["features"])


def test_long_prompts_are_noted_as_cut(encoder: OpenClip) -> None:
    short, long = text_features(encoder, ["a dog", "a dog and " * 40])
    assert (int(short["truncated"][0]), int(long["truncated"][0])) == (0, 1)
    limit = text_features(encoder, ["dog " * 30, "dog " * 31])
    assert [int(r["truncated"][0]) for r in limit] == [0, 1]  # 30 words, a start and an end fill 32
    frames = np.random.default_rng(0).normal(size=(3, 1, 32)).astype(np.float32)
    rows = {f"encoder:{NAME}": {"features": frames}, f"text:{NAME}": long}
    found = score_of(f"clip_similarity[{NAME}]", rows)
    assert isinstance(found, Value) and "truncated" in found.notes[0]


def test_similarity_and_consistency_are_mean_cosines() -> None:
    rng = np.random.default_rng(4)
    frames, text = rng.normal(size=(5, 1, 8)), rng.normal(size=(1, 8))

    def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    rows = {"encoder:a/b": {"features": frames}, "text:a/b": {"features": text, "truncated": np.array([0])}}
    for name, expected in [
        ("clip_similarity[a/b]", np.mean([cosine(f[0], text[0]) for f in frames])),
        ("clip_consistency[a/b]", np.mean([cosine(frames[i, 0], frames[i + 1, 0]) for i in range(4)])),
    ]:
        assert number(score_of(name, rows)) == pytest.approx(expected, rel=1e-12)
    one = {"encoder:a/b": {"features": frames[:1]}}
    assert isinstance(score_of("clip_consistency[a/b]", one), Skip)


def test_windows_stand_at_the_middles_of_equal_intervals() -> None:
    assert [w[0] for w in SpacedWindows(most=4).windows(16)] == [2, 6, 10, 14]
    assert SpacedWindows(most=16).windows(5) == [[0], [1], [2], [3], [4]]
    assert SpacedWindows(most=2, frames=4).windows(10) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert SpreadFrames(frames=4).windows(10) == [[1, 3, 6, 8]]
    with pytest.raises(DoesNotApply, match="has 3 frames, the encoder needs 4"):
        SpacedWindows(frames=4).windows(3)


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [3, 4, 3]])
def test_windows_cross_chunks(sizes: list[int]) -> None:
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    cutter = WindowCutter(SpacedWindows(most=3, frames=4), Stretch(height=8, width=8), 10)
    found, start = {}, 0
    for size in sizes:
        lead = 1 if start else 0
        chunk = Chunk(frames[start - lead : start + size], start, lead, 8.0)
        for place, window in cutter.step(chunk):
            found[place] = window[:, 0, 0, 0].tolist()
        start += size
    assert found == {0: [1, 2, 3, 4], 1: [3, 4, 5, 6], 2: [5, 6, 7, 8]}


def test_spec_names_the_weights(tiny_clip: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    shutil.copytree(tiny_clip, other)
    state = load_file(other / "open_clip_model.safetensors")
    state["logit_scale"] = state["logit_scale"] + 1
    save_file(state, other / "open_clip_model.safetensors")
    a, b = OpenClip(NAME, Setup(tiny_clip)).spec, OpenClip(NAME, Setup(other)).spec
    assert a.digest != b.digest
    assert a.params["weights_sha256"] != b.params["weights_sha256"]
    assert OpenClip("tiny/another-label", Setup(tiny_clip)).spec.digest == a.digest


def test_a_checkpoint_of_a_built_in_architecture(tmp_path: Path) -> None:
    """By ARCH and a local file: the same code as for published weights, without a download."""
    arch = "ViT-S-32-alt"
    torch.manual_seed(0)
    model = open_clip.create_model(arch)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    found = OpenClip(f"{arch}/mine", Setup(tmp_path / "weights.pt"))
    found.load("cpu")
    batch = torch.zeros((16, 1, 224, 224, 3), dtype=torch.uint8)
    assert found.encode(batch)["features"].shape == (16, 1, 256)
    with pytest.raises(WeightsError, match="cannot be loaded as RN50"):
        OpenClip("RN50/mine", Setup(tmp_path / "weights.pt")).load("cpu")


def test_mistakes_are_named_before_any_work(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="use ViT-B-32-quickgelu/openai"):
        OpenClip("ViT-B-32/openai")
    with pytest.raises(UnknownName, match="did you mean 'openai'"):
        OpenClip("ViT-B-32-quickgelu/opanai")
    with pytest.raises(UnknownName, match="ViT-B-32-quickgelu"):
        OpenClip("ViT-B-32-quickgel/openai")
    with pytest.raises(WeightsError, match="no such file"):
        OpenClip("ViT-B-32/mine", Setup(tmp_path / "none.pt"))
    with pytest.raises(WeightsError, match=r"open_clip_config\.json"):
        OpenClip("x/y", Setup(tmp_path))
    monkeypatch.setattr("evals.encoders.hub.cached", lambda model: None)
    with pytest.raises(WeightsError, match="--weights 'ViT-B-32-quickgelu/openai=PATH'"):
        OpenClip("ViT-B-32-quickgelu/openai")


@pytest.mark.parametrize(
    ("metric_id", "message"),
    [
        ("temporal_flikker", "did you mean 'temporal_flicker'"),
        ("temporal_flicker[dis]", "takes no extractor"),
        ("warping_error", r"warping_error\[dis\]"),
        ("warping_error[raft]", "unknown optical flow 'raft'"),
        ("fvd[", "is not a metric id"),
    ],
)
def test_metric_ids(metric_id: str, message: str) -> None:
    from evals.errors import UsageError

    with pytest.raises(UsageError, match=message):
        metrics.create(metric_id)

"""What `quick` measures without a network: image features, subjects, blur and blocks, against independent
truths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evals.encoders import create as create_encoder
from evals.errors import Reason, WeightsError
from evals.extractors.artefacts import Artefacts
from evals.metrics import create
from evals.metrics.base import Skip
from evals.metrics.objects import asked_subjects, singular, subjects
from evals.records import Normalization
from evals.video import Chunk, Frames
from tests.helpers import number, score_of

LITE = "efficientnet-lite0"
HOMONYMS = {"plane", "python", "pitcher", "trump"}  # a tool, a snake's other name, a jug


def artefacts(frames: Frames) -> dict[str, NDArray[Any]]:
    return dict(Artefacts("artefacts").step(Chunk(frames, 0, 0, 8.0)))


def grey(values: NDArray[Any]) -> Frames:
    """A clip of one frame whose three channels are alike, so that luma is the value."""
    return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[None, :, :, None], 3, 3)


def test_block_borders_by_hand() -> None:
    """Steps of 10 at every eighth column and nothing elsewhere; rows are flat."""
    columns = (np.arange(64) // 8 % 2) * 10 + 100
    found = artefacts(grey(np.tile(columns, (32, 1))))
    # 7 borders of 10 over 32 rows; downwards 3 borders of 0 over 64 columns.
    assert found["edges"][0] == pytest.approx(10 * 7 * 32 / (7 * 32 + 3 * 64))
    assert found["inside"][0] == 0


def test_block_borders_equal_a_plain_loop() -> None:
    image = np.random.default_rng(0).integers(0, 256, (29, 45)).astype(np.uint8)
    edges: list[int] = []
    inside: list[int] = []
    for y in range(29):
        for x in range(44):
            step = abs(int(image[y, x + 1]) - int(image[y, x]))
            (edges if (x + 1) % 8 == 0 else inside).append(step)
    for y in range(28):
        for x in range(45):
            step = abs(int(image[y + 1, x]) - int(image[y, x]))
            (edges if (y + 1) % 8 == 0 else inside).append(step)
    found = artefacts(grey(image))
    assert found["edges"][0] == pytest.approx(np.mean(edges))
    assert found["inside"][0] == pytest.approx(np.mean(inside))


def test_the_blur_effect_equals_its_definition() -> None:
    """Crete et al. 2007, equations 1 to 6, pixel by pixel in one direction; the other by turning the
    picture."""
    image = np.random.default_rng(1).integers(0, 256, (20, 24)).astype(np.float64)

    def along_rows(f: NDArray[np.float64]) -> float:
        padded = np.pad(f, ((0, 0), (4, 4)), mode="reflect")
        smooth = np.stack([padded[:, x : x + 9].mean(1) for x in range(f.shape[1])], 1)
        sharp, blurred = (np.abs(v[:, 1:] - v[:, :-1]) for v in (f, smooth))
        return float((sharp.sum() - np.maximum(0, sharp - blurred).sum()) / sharp.sum())

    truth = max(along_rows(image), along_rows(image.T))
    assert artefacts(grey(image))["blur"][0] == pytest.approx(truth, abs=1e-5)


def test_blur_rises_with_blur_and_hardly_with_contrast() -> None:
    image = np.random.default_rng(2).integers(60, 190, (96, 96)).astype(np.float64)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0))
    blurs = [
        number(score_of("blur", {"frames:artefacts": artefacts(grey(changed))}))
        for changed in (image, (image - 128) / 2 + 128, cv2.GaussianBlur(image, (0, 0), 2.0))
    ]
    assert abs(blurs[1] - blurs[0]) < 0.05 < blurs[2] - blurs[0]


def test_blockiness_needs_a_frame_of_two_blocks_and_the_codecs_own_size() -> None:
    small = score_of("blockiness", {"frames:artefacts": artefacts(grey(np.eye(16) * 200))})
    assert isinstance(small, Skip) and small.reason == Reason.TOO_SMALL
    image = np.random.default_rng(3).integers(0, 256, (64, 64))
    assert abs(number(score_of("blockiness", {"frames:artefacts": artefacts(grey(image))}))) < 0.05
    metric: Any = create("blockiness")
    clip: Any = type("C", (), {"normalization": Normalization(short_side=64)})()
    assert metric.score(clip).reason == Reason.DOES_NOT_APPLY


@pytest.mark.parametrize(("text", "found"), [
    ("Two dogs chase a red ball past a park bench.", ("dog", "ball", "park bench")),
    ("A flock of geese over a snowy mountain", ("goose", "mountain")),
    ("a fire truck and three wolves", ("fire truck", "wolf")),
    ("Butterflies on daisies", ("butterfly", "daisy")),
    ("People are dancing under a blue sky", ()),
    ("the cats catch mice", ("cat",)),
])  # fmt: skip
def test_subjects_are_found_in_whatever_form(text: str, found: tuple[str, ...]) -> None:
    assert asked_subjects(text) == found


def test_annotations_come_before_words() -> None:
    assert asked_subjects("a dog near a bench", ("horse", "toy-boat", "merry-go-round")) == (
        "horse", "merry-go-round",
    )  # fmt: skip
    assert singular("ponies") == "ponie" and "ponie" not in subjects()


def test_the_table_agrees_with_imagenets_own_names() -> None:
    """Words that are the only name of a class in timm's table of ImageNet are that class here; every number
    is one of the thousand, and every class of a kind has a label of the kind."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    labels = [[x.strip().lower() for x in info.index_to_description(i).split(",")] for i in range(1000)]
    assert all(0 <= c < 1000 for classes in subjects().values() for c in classes)
    for word, classes in subjects().items():
        exact = [i for i, names in enumerate(labels) if word in names]
        if exact and word not in HOMONYMS:
            assert set(exact) & set(classes), (word, exact, classes)
    for kind in ("shark", "owl", "fox", "bear", "truck", "monkey", "bridge"):
        assert any(kind in name for c in subjects()[kind] for name in labels[c])


def test_presence_is_the_probability_of_the_classes_asked_for() -> None:
    logits = np.zeros((2, 1, 1000), np.float32)
    logits[0, 0, 291] = 20.0  # a lion in the first frame only
    features = {f"encoder:{LITE}": {"logits": logits}}
    name = f"object_presence[{LITE}]"
    assert number(score_of(name, features, text="a lion")) == pytest.approx((1 + 1e-3) / 2, abs=1e-3)
    assert number(score_of(name, features, text="a lion and a zebra")) < 0.3
    nothing = score_of(name, features, text="a quiet street")
    assert isinstance(nothing, Skip) and nothing.reason == Reason.NO_KNOWN_SUBJECT


def test_the_packages_weights_fill_timms_network_and_classify() -> None:
    """Tensor by tensor of the same shape, and a picture of one colour is no animal."""
    encoder = create_encoder(LITE, {})
    encoder.load("cpu")
    windows = torch.full((2, 1, 224, 224, 3), 127, dtype=torch.uint8)
    found = encoder.encode(windows)
    assert found["features"].shape == (2, 1, 1280) and found["logits"].shape == (2, 1, 1000)
    again = encoder.encode(windows[:1].expand(2, -1, -1, -1, -1))
    torch.testing.assert_close(found["logits"], again["logits"])
    network = encoder._network
    scaled = (windows.permute(0, 1, 4, 2, 3).float().flatten(0, 1) - 127) / 128
    with torch.no_grad():
        torch.testing.assert_close(network(scaled), found["logits"][:, 0], rtol=1e-4, atol=1e-4)


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pth")
    encoder = create_encoder(LITE, {LITE: tmp_path / "w.pth"})
    with pytest.raises(WeightsError, match="does not fit tf_efficientnet_lite0"):
        encoder.load("cpu")


@pytest.mark.nightly
def test_real_clips_show_what_they_are_asked_for(assets: Path) -> None:
    """On FETV: its own subject's presence is above those of other prompts in most cases (docs/metrics.md)."""
    from benchmarks.presence import measure

    found = measure(assets / "fetv", ("zeroscope",))
    assert found.auc > 0.75 and found.low > 0.55

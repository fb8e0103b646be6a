"""The embedded encoders: what they know, what they refuse, and that their rows depend on nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from evals import prompts
from evals.encoders import Setup
from evals.encoders.embedded import Embedded
from evals.encoders.embedded_input import split
from evals.encoders.tiny import VideoNet
from evals.errors import DoesNotApply, Reason, WeightsError
from evals.metrics.base import Skip, outside
from evals.records import Prompt
from evals.runs.features import Features
from evals.video import Frames, read
from evals.worlds import FLAWS, Film
from tests.conftest import MORE
from tests.helpers import number, score_of
from tools.captions import held_out, scene, standard, tell


@pytest.fixture(scope="module")
def embedded() -> Embedded:
    encoder = Embedded("embedded")
    encoder.load("cpu")
    return encoder


def window(frames: Frames) -> Frames:
    return np.stack([Embedded.resize.apply(frames[i]) for i in Embedded.frames.windows(len(frames))[0]])


def filmed(prompt: Prompt, seed: int, flaw: str = "clean", strength: float = 1.0) -> Frames:
    return window(np.stack(list(Film(prompt, seed, 192, 144, 24, 12.0, flaw, strength).pictures())))


def encoded(
    encoder: Embedded, windows: list[Frames]
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rows: dict[str, list[Frames]] = {}
    for start in range(0, len(windows), 8):
        part = windows[start : start + 8]
        batch = np.zeros((8, *part[0].shape), np.uint8)
        batch[: len(part)] = part
        for name, value in encoder.encode(torch.from_numpy(batch)).items():
            rows.setdefault(name, []).append(value.numpy()[: len(part)])
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def texts(encoder: Embedded, words: list[str]) -> list[Features]:
    rows = [r for r in encoder.encode_text(words) if not isinstance(r, DoesNotApply)]
    assert len(rows) == len(words)
    return rows


def unit(
    x: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), np.float32)


def test_both_together_are_small(embedded: Embedded) -> None:
    assert embedded.path.stat().st_size <= 5_000_000


@pytest.mark.slow
def test_held_out_scenes_are_found_among_64(embedded: Embedded) -> None:
    """Combinations of kind, colour, action and place that training never saw. Chance is 0.016."""
    rng = np.random.default_rng(99)
    first = []
    for _ in range(1 if MORE == 1 else 3):
        found: list[Prompt] = []
        while len(found) < 64:
            made = scene(rng)
            if held_out(made):
                found.append(made)
        films = encoded(embedded, [filmed(p, 7) for p in found])["joint"][:, 0]
        told = np.concatenate([r["joint"] for r in texts(embedded, [tell(p, rng) for p in found])])
        cosines = unit(told) @ unit(films).T
        first.append(np.mean(cosines.argmax(1) == np.arange(64)))
    assert np.mean(first) >= 0.5, first


@pytest.mark.slow
def test_standard_prompts_find_their_films(embedded: Embedded) -> None:
    """The words of the standard sets, with seeds that training never saw."""
    known = standard()[:64]
    films = encoded(embedded, [filmed(p, 11) for p in known])["joint"][:, 0]
    told = np.concatenate([r["joint"] for r in texts(embedded, [p.text for p in known])])
    cosines = unit(told) @ unit(films).T
    assert np.mean(cosines.argmax(1) == np.arange(64)) >= 0.6


def test_a_word_it_never_met_is_named(embedded: Embedded) -> None:
    asked = ["A dog runs in a park.", "A dragon composes a fugue", "…", "A DOG runs, in the park!"]
    found = embedded.encode_text(asked)
    assert isinstance(found[0], dict) and isinstance(found[3], dict)
    assert isinstance(found[1], DoesNotApply) and isinstance(found[2], DoesNotApply)
    assert "'dragon'" in str(found[1]) and "'fugue'" in str(found[1]) and "standard" in str(found[1])
    assert "without words" in str(found[2])
    assert split("The dog's ball, twice!") == ["the", "dog", "ball", "twice"]


def test_every_prompt_it_can_be_shown_is_readable(embedded: Embedded) -> None:
    known = [p.text for p in standard()]
    assert not [r for r in embedded.encode_text(known) if isinstance(r, DoesNotApply)]
    unread = [p for n in ("parks", "animals", "physics") for p in prompts.load(prompts.find(n)).prompts]
    refused = [r for r in embedded.encode_text([p.text for p in unread]) if isinstance(r, DoesNotApply)]
    assert len(refused) > 40


def test_a_row_does_not_depend_on_its_place_or_company(embedded: Embedded) -> None:
    rng = np.random.default_rng(1)
    batch = rng.integers(0, 256, (8, 12, 64, 80, 3), dtype=np.uint8)
    whole, order = embedded.encode(torch.from_numpy(batch)), rng.permutation(8)
    mixed = embedded.encode(torch.from_numpy(batch[order]))
    alone = np.zeros_like(batch)
    alone[5] = batch[2]
    single = embedded.encode(torch.from_numpy(alone))
    for name, value in whole.items():
        assert torch.equal(mixed[name], value[order]) and torch.equal(single[name][5], value[2])


@pytest.mark.nightly
def test_simulated_films_are_in_its_domain_and_real_ones_are_not(embedded: Embedded, assets: Path) -> None:
    known = standard()
    clean = encoded(embedded, [filmed(p, 31) for p in known])["distance"].ravel()
    assert np.mean(clean < 1) >= 0.97
    flawed = encoded(embedded, [filmed(known[i], 32, f, 0.5) for i, f in enumerate(FLAWS)])[
        "distance"
    ].ravel()
    assert np.mean(flawed < 1) >= 0.9
    real = [window(read(path)[0]) for path in sorted((assets / "fetv").glob("*/*.mp4"))]
    far = encoded(embedded, real)["distance"].ravel()
    assert len(far) >= 80 and np.mean(far > 1) >= 0.9
    blank = [np.zeros((12, 64, 80, 3), np.uint8), np.full((12, 64, 80, 3), 255, np.uint8)]
    noise = [np.random.default_rng(0).integers(0, 256, (12, 64, 80, 3), dtype=np.uint8)]
    assert (encoded(embedded, blank + noise)["distance"] > 1).all()


def test_the_similarity_is_the_cosine_in_the_joint_space_or_nothing() -> None:
    rng = np.random.default_rng(2)
    name = "clip_similarity[embedded]"
    video = {
        "features": rng.normal(size=(1, 1, 160)),
        "joint": rng.normal(size=(1, 1, 128)),
        "distance": np.full((1, 1, 1), 0.7),
    }
    text = {"joint": rng.normal(size=(1, 128)), "truncated": np.array([0])}
    rows = {"encoder:embedded": video, "text:embedded": text}
    a, b = video["joint"][0, 0], text["joint"][0]
    found = number(score_of(name, rows))
    assert found == pytest.approx(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), rel=1e-12)
    far = {**rows, "encoder:embedded": {**video, "distance": np.full((1, 1, 1), 1.01)}}
    skipped = score_of(name, far)
    assert isinstance(skipped, Skip) and skipped.reason == Reason.OUT_OF_DOMAIN
    assert outside(far["encoder:embedded"])


@pytest.mark.parametrize("damage", ["missing", "bytes", "tensor", "words"])
def test_other_weights_are_refused(damage: str, tmp_path: Path, embedded: Embedded) -> None:
    path = tmp_path / "w.safetensors"
    with safe_open(str(embedded.path), "pt") as file:
        tensors, metadata = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    if damage == "bytes":
        path.write_bytes(embedded.path.read_bytes()[:5000])
    elif damage == "tensor":
        del tensors["video.joint.1.bias"]
        save_file(tensors, path, metadata)
    elif damage == "words":
        save_file(tensors, path, {"words": json.dumps(["too", "few"])})
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        Embedded("embedded", Setup(path)).load("cpu")


def test_the_network_sees_the_order_of_frames() -> None:
    torch.manual_seed(0)
    net = VideoNet().eval()
    frames = torch.randint(0, 256, (1, 12, 64, 80, 3), dtype=torch.uint8)
    with torch.inference_mode():
        forth, back = net(frames)[0], net(frames.flip(1))[0]
    assert not torch.allclose(forth, back, atol=1e-3)

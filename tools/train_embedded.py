"""Trains the embedded encoders on simulated worlds and writes `evals/encoders/weights/embedded.safetensors`.

    python tools/train_embedded.py [--scenes 14000] [--epochs 8] [--cache FOLDER] [--out FILE]

Under an hour on two CPU cores. The seed is fixed; on one machine and with the same versions the result
is the same. Nothing but clean films is learnt from; flawed ones are only used to set how far from all
that was seen a film may be before it counts as out of domain. Prints retrieval on held-out scenes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from evals.encoders.embedded import Embedded
from evals.encoders.embedded_input import FRAMES
from evals.records import Prompt
from evals.worlds import FLAWS, Film
from evals.worlds.render import render, trajectories
from tools.captions import held_out, scene, standard, tell, vocabulary

SEED = 20261123
SHAPES = ((160, 120), (128, 128), (192, 108), (160, 120), (256, 192), (108, 144), (192, 144))
FIRST_SEED = 1000  # the demo and the tests use seeds below this

Sampled = tuple[NDArray[np.uint8], NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=14_000)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded"))
    parser.add_argument("--out", type=Path, default=Path("evals/encoders/weights/embedded.safetensors"))
    o = parser.parse_args()
    o.cache.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    prompts, test_prompts = choose(o.scenes)
    videos, paths = rendered(o.cache / f"train-{o.scenes}.npz", prompts, FIRST_SEED)
    tests, _ = rendered(o.cache / "test.npz", test_prompts, FIRST_SEED * 1000)
    print(f"rendered {len(videos)} + {len(tests)} in {time.monotonic() - started:.0f} s", flush=True)
    kept = o.cache / f"trained-{o.scenes}-{o.epochs:g}.pt"
    if kept.exists():
        import torch

        video, text, words = torch.load(kept, weights_only=False)  # this program's own file
    else:
        video, text, words = train(prompts, videos, paths, o.epochs, (test_prompts, tests))
        keep(kept, (video, text, words))
    domain = measure_domain(video, videos, tests, o.cache)
    save(o.out, video, text, words, domain)
    print(f"{o.out}: {o.out.stat().st_size / 1e6:.2f} MB after {time.monotonic() - started:.0f} s")


def keep(path: Path, what: Any) -> None:
    """Kept, so that the domain can be measured again without training."""
    import torch

    torch.save(what, path)


def choose(count: int) -> tuple[list[Prompt], list[Prompt]]:
    """Training prompts (two fifths of them standard ones) and 512 held-out scenes."""
    rng = np.random.default_rng(SEED)
    fixed = standard()
    train: list[Prompt] = []
    test: list[Prompt] = []
    while len(train) < count:
        if rng.uniform() < 0.4:
            train.append(fixed[int(rng.integers(len(fixed)))])
            continue
        made = scene(rng)
        if not held_out(made):
            train.append(made)
    while len(test) < 512:
        made = scene(rng)
        if held_out(made):
            test.append(made)
    return train, test


def draw(job: tuple[Prompt, int]) -> Sampled:
    """Twelve prepared frames of a film, and the paths of its main and its liveliest actor."""
    prompt, seed = job
    rng = np.random.default_rng([SEED, seed])
    width, height = SHAPES[int(rng.integers(len(SHAPES)))]
    resize = Embedded.resize
    duration = float(rng.uniform(1.5, 3.0))
    times = [(2 * i + 1) * duration / (2 * FRAMES) for i in range(FRAMES)]
    film = Film(prompt, seed, width, height)
    noise = float(rng.uniform(0, 4)) * float(rng.uniform() < 0.5)
    frames = []
    for picture in render(film.scene, times, width, height):
        if noise:
            picture = np.rint(np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255)).astype(np.uint8)
        frames.append(resize.apply(picture))
    where = trajectories(film.scene, times, width, height)
    liveliest = max(where, key=lambda n: np.std(where[n]["x"]) + np.std(where[n]["y"]))
    path = []
    for name in (film.scene.lead.name, liveliest):
        one = where[name]
        path += [
            np.clip(np.array(one["x"]) / width, -0.5, 1.5),
            np.clip(np.array(one["y"]) / height, -0.5, 1.5),
        ]
    return np.stack(frames), np.stack(path).astype(np.float32)


def rendered(
    cache: Path, prompts: Sequence[Prompt], first: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Films of all prompts, each with a seed of its own; kept in a file."""
    if cache.exists():
        with np.load(cache) as data:
            return data["videos"], data["paths"]
    with ProcessPoolExecutor() as pool:
        jobs = [(p, first + i) for i, p in enumerate(prompts)]
        made = list(pool.map(draw, jobs, chunksize=32))
    videos, paths = np.stack([v for v, _ in made]), np.stack([p for _, p in made])
    np.savez(cache, videos=videos, paths=paths)
    return videos, paths


def train(
    prompts: Sequence[Prompt],
    videos: NDArray[np.uint8],
    paths: NDArray[np.float32],
    epochs: float,
    test: tuple[Sequence[Prompt], NDArray[np.uint8]],
) -> tuple[Any, Any, list[str]]:
    """Both networks, trained. The loss is CLIP's, with films of one prompt as equally right, and the
    error in retracing the two paths from the features, so that these know of motion."""
    import torch
    from torch.nn import functional

    from evals.encoders.embedded_input import split
    from evals.encoders.tiny import FEATURES, TextNet, VideoNet, numbers

    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED + 1)
    words = vocabulary()
    index = {w: i + 1 for i, w in enumerate(words)}
    video, text = VideoNet().to(memory_format=torch.channels_last), TextNet(len(words))
    retrace = torch.nn.Linear(FEATURES, paths[0].size)
    scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    nets = [video, text, retrace]
    parameters = [p for net in nets for p in net.parameters()] + [scale]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    size = 128
    steps = int(epochs * len(videos) / size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2.5e-3, total_steps=steps, pct_start=0.1)
    names = np.array([p.id for p in prompts])
    order = _orders(len(videos), size, rng)
    started = time.monotonic()
    for step in range(steps):
        chosen = next(order)
        films = torch.from_numpy(_varied(videos[chosen], rng))
        captions = [_caption(prompts[int(i)], rng) for i in chosen]
        tokens = torch.stack([numbers(split(c), index) for c in captions])
        with torch.autocast("cpu", torch.bfloat16):
            features, seen, _ = video(films)
            told = text(tokens)
        seen = functional.normalize(seen.float(), dim=1)
        told = functional.normalize(told.float(), dim=1)
        logits = seen @ told.T * scale.exp().clamp(max=100)
        same = torch.from_numpy((names[chosen][:, None] == names[chosen][None]).astype(np.float32))
        right = same / same.sum(1, keepdim=True)
        contrast = (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2
        error = functional.mse_loss(
            retrace(features.float()), torch.from_numpy(paths[chosen].reshape(size, -1))
        )
        loss = contrast + 5.0 * error
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            took = time.monotonic() - started
            print(f"{step}/{steps} contrast {contrast:.3f} paths {error:.4f} {took:.0f} s", flush=True)
        if step and step % 300 == 0:
            print("  held out:", retrieval(video, text, index, *test), flush=True)
    print("held out:", retrieval(video, text, index, *test))
    return video.eval(), text.eval(), words


def _orders(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def _caption(prompt: Prompt, rng: np.random.Generator) -> str:
    if prompt.text != "-" and rng.uniform() < 0.6:
        return prompt.text
    return tell(prompt, rng)


def _varied(films: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness and contrast a little off, the picture moved by up to three pixels."""
    out = np.empty_like(films)
    for i, film in enumerate(films):
        gain, offset = rng.uniform(0.9, 1.1), rng.uniform(-10, 10)
        dy, dx = (int(v) for v in rng.integers(-3, 4, 2))
        table = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)
        moved = np.pad(film, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="edge")
        out[i] = table[moved[:, 3 + dy : 67 + dy, 3 + dx : 83 + dx]]
    return out


def retrieval(
    video: Any, text: Any, index: dict[str, int], prompts: Sequence[Prompt], films: NDArray[np.uint8]
) -> str:
    """Text to video among 64: the share of texts whose own film comes first, over groups of 64."""
    import torch

    from evals.encoders.embedded_input import split
    from evals.encoders.tiny import numbers

    rng = np.random.default_rng(7)
    video.eval()
    text.eval()
    with torch.inference_mode():
        seen = torch.cat([video(torch.from_numpy(films[i : i + 64]))[1] for i in range(0, len(films), 64)])
        told = text(torch.stack([numbers(split(tell(p, rng)), index) for p in prompts]))
    video.train()
    text.train()
    cosines = torch.nn.functional.normalize(told, dim=1) @ torch.nn.functional.normalize(seen, dim=1).T
    groups = len(films) // 64
    first, five = [], []
    for g in range(groups):
        block = cosines[g * 64 : g * 64 + 64, g * 64 : g * 64 + 64]
        rank = (block > block.diagonal()[:, None]).sum(1)
        first.append(float((rank == 0).float().mean()))
        five.append(float((rank < 5).float().mean()))
    error = np.std(first) / math.sqrt(groups)
    return f"R@1 {np.mean(first):.3f} ± {error:.3f}, R@5 {np.mean(five):.3f} among 64"


def flawed(job: tuple[Prompt, int, str, float]) -> NDArray[np.uint8] | None:
    """Twelve prepared frames of a film with a flaw; None where it cannot be made."""
    from evals.errors import CannotDraw

    prompt, seed, flaw, strength = job
    resize = Embedded.resize
    film = Film(prompt, seed, 192, 144, 24, 12.0, flaw, strength)
    try:
        pictures = list(film.pictures())
    except CannotDraw:
        return None
    (window,) = Embedded.frames.windows(len(pictures), 12.0, "")
    return np.stack([resize.apply(pictures[i]) for i in window])


def measure_domain(
    video: Any, films: NDArray[np.uint8], tests: NDArray[np.uint8], cache: Path
) -> dict[str, Any]:
    """What the encoder's own films look like: mean and covariance of their statistics, and how far out
    even a strongly flawed one is."""
    import torch

    from evals.encoders.tiny import domain_statistics, fit_domain

    kept = cache / "flawed.npz"
    if not kept.exists():
        prompts, rng = standard(), np.random.default_rng(SEED + 2)
        jobs = [
            (prompts[int(rng.integers(len(prompts)))], 500_000 + i, flaw, strength)
            for flaw in FLAWS
            for i, strength in enumerate(np.tile([0.2, 0.5, 1.0], 40).tolist())
        ]
        with ProcessPoolExecutor() as pool:
            made = [f for f in pool.map(flawed, jobs, chunksize=8) if f is not None]
        np.savez(kept, films=np.stack(made))
    with np.load(kept) as data:
        bad = data["films"]
    clean = domain_statistics(video, torch.from_numpy(films[:6000]))
    fresh = domain_statistics(video, torch.from_numpy(tests))
    wrong = domain_statistics(video, torch.from_numpy(bad))
    return fit_domain(np.concatenate([clean, wrong[::2]]), np.concatenate([fresh, wrong[1::2]]))


def save(path: Path, video: Any, text: Any, words: list[str], domain: dict[str, Any]) -> None:
    """Half precision on disk; the encoder computes in single."""
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for prefix, net in (("video", video), ("text", text)):
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                tensors[f"{prefix}.{name}"] = value.detach().to(torch.float16).contiguous()
    for name, value in domain.items():
        tensors[f"domain.{name}"] = torch.as_tensor(value, dtype=torch.float32).contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"words": json.dumps(words)})


if __name__ == "__main__":
    main()

"""The physics metrics on films of the tests' own renderer, which they were not tuned on: `python -m
benchmarks.physics --seeds 20001 --count 8` prints the tables of docs/physics.md. `--real ASSETS` tries every
law on real clips.

AUC is the chance that a clean film scores above a flawed one; a skipped film scores 1, as a clean one
does."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np

from evals import video
from evals.extractors import create
from evals.metrics.physics import continuity, permanence
from evals.metrics.physics.checks import Check, Untestable, worst
from evals.metrics.physics.laws import LAWS, PLANAR, test_law
from evals.metrics.physics.laws.falling import bounce_ratios, flights
from evals.metrics.physics.laws.swinging import swing_of
from evals.metrics.physics.paths import path_of
from evals.records import Normalization, Subject
from evals.runs.features import Features
from evals.tracking import Scene, scene_of
from evals.tracking.association import tracks_of
from evals.tracking.tracks import packed
from evals.video import encode
from tests import physics_scenes as scenes

CLAIMED: dict[str, tuple[str, ...]] = {
    "fall": ("upward gravity", "energy gain", "reversed"),
    "two bodies": ("unequal gravity", "upward gravity", "reversed"),
    "projectile": ("no gravity", "upward gravity"),
    "bounce": ("energy gain", "reversed", "pass through", "upward gravity"),
    "rolling": ("upward gravity", "energy gain"),
    "pendulum": ("energy gain", "reversed", "upward gravity"),
    "two pendulums": ("wrong period", "energy gain"),
    "collision": ("momentum created", "pass through", "energy gain", "reversed"),
    "friction": ("energy gain", "reversed"),
    "inertia": ("energy gain",),
    "rest": ("upward gravity",),
    "buoyancy": ("reversed",),
    "crossing": (),
}
"""What `physics_law` claims to see; vanish, size drift and colour drift are claimed by `physics_permanence`,
teleport by `physics_continuity`, in every world."""
OTHERS = {
    "vanish": "physics_permanence", "size drift": "physics_permanence", "colour drift": "physics_permanence",
    "teleport": "physics_continuity",
}  # fmt: skip
JOINED = (
    "pendulum",
    "two pendulums",
)  # a bob that is elsewhere is one region with its rod: no claim of teleport
SUBJECTS = {"buoyancy": (Subject(kind="stone", action="fall"),)}


@dataclass(frozen=True)
class Film:
    """What was found in one film: the worst check of each metric, None where it was skipped, and errors of
    what is known: of places (shares of the short side), accelerations, bounce ratios and periods
    (relative)."""

    world: str
    defect: str
    seed: int
    found: dict[str, Check | None]
    errors: dict[str, list[float]]


def extracted(path: Path, names: Iterable[str]) -> tuple[dict[str, Features], int, float]:
    """Features of a file by frame extractor, the number of frames and their rate."""
    limits = video.Limits()
    seen = video.probe(path, limits)
    made = {name: create(name) for name in names}
    parts: dict[str, list[Features]] = {name: [] for name in made}
    count = 0
    for chunk in video.decode(seen, Normalization(), limits.chunk_bytes, seen.facts.frames, []):
        count += len(chunk.new)
        for name, extractor in made.items():
            parts[name].append(extractor.step(chunk))
    joined = {}
    for name, extractor in made.items():
        each = [*parts[name], extractor.finish()]
        arrays = dict.fromkeys(array for part in each for array in part)
        joined[name] = {a: np.concatenate([part[a] for part in each if a in part]) for a in arrays}
    return joined, count, seen.facts.fps


def judged(
    path: Path, law: str, subjects: tuple[Subject, ...], planar: bool
) -> tuple[Scene, dict[str, Check | None]]:
    """The worst check of each metric."""
    features, count, fps = extracted(path, ["moving"])
    detections = features["moving"]
    scene = scene_of(packed(tracks_of(detections), detections), np.arange(count) / fps)
    tested = test_law(law, scene, subjects)
    lost = permanence.of_tracks(scene, planar) if scene.plain else ()
    jumps = continuity.of_tracks(scene) if scene.plain else ()
    if not (lost and jumps):
        points = extracted(path, ["dis-points"])[0]["dis-points"]
        if len(points["start"]):
            lost, jumps = lost or permanence.of_points(points), jumps or continuity.of_points(points)
    return scene, {
        "physics_law": None if isinstance(tested, Untestable) else worst(tested),
        "physics_permanence": worst(lost) if lost else None,
        "physics_continuity": worst(jumps) if jumps else None,
    }


def film(job: tuple[str, str, int]) -> Film:
    """Render, encode, decode, judge, and measure against the truth."""
    cv2.setNumThreads(1)
    world, defect, seed = job
    take = scenes.made(world, defect, seed, 3.6 if "pendulum" in world else 2.4)
    crf = int(np.random.default_rng(seed).integers(18, 30))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        encode(path, iter(take.frames), take.fps, crf=crf)
        law = scenes.LAW[world]
        scene, found = judged(path, law, SUBJECTS.get(world, ()), law in PLANAR)
    errors = _errors(scene, take, world) if defect == "clean" else {}
    return Film(world, defect, seed, found, errors)


def _errors(scene: Scene, take: scenes.Take, world: str) -> dict[str, list[float]]:
    scale = scene.short / take.facts["short"]
    found: dict[str, list[float]] = {"place": [], "acceleration": [], "ratio": [], "period": []}
    for track in scene.known:
        clear = track.clear
        apart = [
            np.median(np.linalg.norm(track.xy[clear] / scale - thing.xy[track.frames[clear]], axis=1))
            for thing in take.things
        ]
        found["place"].append(float(min(apart)) / take.facts["short"])
        path = path_of(track, scene)
        if "acceleration" in take.facts and world != "friction":
            true = take.facts["acceleration"] * scale
            found["acceleration"] += [f.down / true - 1 for f in flights(path) if f.error < 0.1 * abs(f.down)]
        if "ratio" in take.facts:
            found["ratio"] += [r / take.facts["ratio"] - 1 for r in bounce_ratios(path)]
        if world == "pendulum" and (swing := swing_of(path)) is not None:
            found["period"].append(swing.period / take.facts["period"] - 1)
    return found


def auc(clean: list[float], flawed: list[float]) -> float:
    """The chance that a clean film scores above a flawed one."""
    a, b = np.array(clean)[:, None], np.array(flawed)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def _score(check: Check | None) -> float:
    return 1.0 if check is None else check.score


def _planar(world: str, defect: str) -> bool:
    """Size is judged only where a law keeps things at one distance from the camera."""
    return defect != "size drift" or scenes.LAW[world] in PLANAR


def study(first: int, count: int, workers: int) -> str:
    """Tables as Markdown."""
    jobs = [
        (world, defect, first + k)
        for world, claimed in CLAIMED.items()
        for defect in ("clean", *claimed, *OTHERS)
        for k in range(count)
    ]
    with Pool(workers) as pool:
        films = pool.map(film, jobs, chunksize=4)
    of = {(f.world, f.defect, f.seed): f for f in films}

    def scores(world: str, defect: str, metric: str) -> list[float]:
        return [_score(of[world, defect, first + k].found[metric]) for k in range(count)]

    defects = list(dict.fromkeys(d for claimed in CLAIMED.values() for d in claimed)) + list(OTHERS)
    head = "| world | skipped | " + " | ".join(defects) + " |"
    lines = [head, "|---|---|" + "---|" * len(defects)]
    for world, claimed in CLAIMED.items():
        skipped = [of[world, "clean", first + k].found["physics_law"] is None for k in range(count)]
        cells = [f"{np.mean(skipped):.0%}"]
        for defect in defects:
            metric = OTHERS.get(defect, "physics_law" if defect in claimed else "")
            if (defect == "teleport" and world in JOINED) or not _planar(world, defect):
                metric = ""
            cells.append(
                f"{auc(scores(world, 'clean', metric), scores(world, defect, metric)):.2f}" if metric else ""
            )
        lines.append(f"| {world} | " + " | ".join(cells) + " |")
    lines += ["", "| on clean films | n | median of the absolute error | 90 % below |", "|---|---|---|---|"]
    for name in ("place", "acceleration", "ratio", "period"):
        values = np.abs([e for f in films for e in f.errors.get(name, [])])
        lines.append(f"| {name} | {len(values)} | {np.median(values):.2%} | {np.quantile(values, 0.9):.2%} |")
    lines += ["", "| metric | clean films | below 0.5 | skipped |", "|---|---|---|---|"]
    for metric in ("physics_law", "physics_permanence", "physics_continuity"):
        clean = [f.found[metric] for f in films if f.defect == "clean"]
        below = np.mean([_score(c) < 0.5 for c in clean])
        lines.append(
            f"| `{metric}` | {len(clean)} | {below:.1%} | {np.mean([c is None for c in clean]):.1%} |"
        )
    by_metric = [
        "",
        "| defect | " + " | ".join(f"`{m}`" for m in METRICS) + " |",
        "|---|" + "---|" * len(METRICS),
    ]
    for defect in defects:
        worlds = [w for w, claimed in CLAIMED.items() if defect in claimed or defect in OTHERS]
        worlds = [w for w in worlds if (defect != "teleport" or w not in JOINED) and _planar(w, defect)]
        means = [np.mean([auc(scores(w, "clean", m), scores(w, defect, m)) for w in worlds]) for m in METRICS]
        by_metric.append(f"| {defect} | " + " | ".join(f"{m:.2f}" for m in means) + " |")
    return "\n".join(lines + by_metric)


METRICS = ("physics_law", "physics_permanence", "physics_continuity")


def real(assets: Path) -> str:
    """Every law tried on real clips: how often it speaks, and how often it is wrong."""
    lines = ["| clips | law | tested | below 0.5 |", "|---|---|---|---|"]
    for folder in ("fetv/gt", "ucf", "videophy2"):
        paths = sorted((assets / folder).glob("*.mp4"))
        scenes_ = [judged(path, "gravity", (), False)[0] for path in paths]
        told = sum(scene.plain for scene in scenes_)
        lost = sum(scene.lost for scene in scenes_)
        lines[0:0] = [f"{folder}: {len(paths)} clips, things told apart in {told}, camera lost in {lost}", ""]
        for law in LAWS:
            found = [test_law(law, scene) for scene in scenes_]
            tested = [worst(checks) for checks in found if not isinstance(checks, Untestable)]
            below = sum(c.score < 0.5 for c in tested)
            lines.append(f"| {folder} ({len(paths)}) | {law} | {len(tested)} | {below} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20001, help="The first seed.")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--real", type=Path, help="A folder with fetv, ucf and videophy2.")
    options = parser.parse_args()
    print(real(options.real) if options.real else study(options.seeds, options.count, options.workers))


if __name__ == "__main__":
    main()

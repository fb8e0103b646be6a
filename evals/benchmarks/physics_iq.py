"""Physics-IQ by its own protocol (Motamed et al. 2025, the original benchmark, not "Verified"): generated
clips of five seconds against two real takes of every scenario, from three views.

Its number is a ratio of means over all clips; what two takes differ by (physical variance) is 100 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.benchmarks.physics_iq_files import (
    VIEWS,
    Benchmark,
    Scene,
    Wrong,
    clips_of,
    open_benchmark,
    problems,
    usable,
)
from evals.decoding.pool import DecoderJob, Pool
from evals.decoding.resources import Resources
from evals.errors import MetricError, UsageError
from evals.executors import LocalExecutor, Problems, Source
from evals.extract import Hooks, extract_features
from evals.extractors.paired import create_pair
from evals.metrics.needs import Needs, Prepared
from evals.metrics.physics_iq import (
    PAIR,
    Likeness,
    likeness,
    mean_likeness,
    physics_iq_score,
)
from evals.records import Normalization
from evals.runs.features import FeatureStore

FIVE = Normalization(seconds=5.0)
SETTINGS: dict[str, tuple[int, tuple[str, ...]]] = {
    "all views, take 1": (0, VIEWS),
    "all views, take 2": (1, VIEWS),
    "centre view, take 1": (0, (VIEWS[1],)),
    "centre view, take 2": (1, (VIEWS[1],)),
}
"""Which real take a clip is measured against, and from which views. The benchmark's number is the first."""
OFFICIAL = "all views, take 1"
SCENES = 198


@dataclass(frozen=True)
class Row:
    """One clip: how alike it is to both real takes, and they to each other."""

    id: str
    name: str
    view: str
    category: str
    takes: tuple[Likeness, Likeness]
    variance: Likeness


@dataclass(frozen=True)
class Run:
    """One folder of generated clips: `rows`, the score of every setting and category in percent, and what was
    left out with the reason."""

    folder: Path
    rows: tuple[Row, ...]
    settings: Mapping[str, float]
    categories: Mapping[str, float]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """All runs of a model. `score` is the mean over runs, `spread` their standard deviation (None of one
    run); `conditioned_on` what the model was given; `complete` whether all 198 clips of every run are
    there."""

    runs: tuple[Run, ...]
    fps: int
    conditioned_on: str
    score: float
    spread: float | None
    complete: bool

    @property
    def labels(self) -> list[str]:
        """What must stand beside the number."""
        found = []
        if self.conditioned_on == "text":
            found.append(
                "text only: the model was not shown the scene, so the score does not say whether it"
                " understands physics; it does not compare with the benchmark's leaderboard"
            )
        if not self.complete:
            found.append("incomplete: this is not the benchmark's number, which takes all 198 clips")
        if len(self.runs) < 4:
            found.append(f"{len(self.runs)} of the 4 runs that the benchmark asks for a claim")
        return found


def score_of(rows: Sequence[Row], take: int = 0, views: Sequence[str] = VIEWS) -> float | None:
    """Percent, of the clips of some views against one take; None where there is none, or the takes have
    nothing in common."""
    used = [row for row in rows if row.view in views]
    if not used:
        return None
    try:
        return physics_iq_score([row.takes[take] for row in used], [row.variance for row in used])
    except MetricError:
        return None


def prepare(
    generated: Sequence[Path], folder: Path, descriptions: Path | None, resources: Resources
) -> tuple[Benchmark, list[tuple[Path, dict[str, Path], list[Wrong]]]]:
    """Look at everything before any work: the benchmark at the clips' frame rate, and for every folder its
    clips and what is wrong with them. Raises `UsageError`."""
    if len({place.resolve() for place in generated}) < len(generated):
        raise UsageError("a folder of clips is given twice: every folder is one run of the model")
    held = [(place, clips_of(place)) for place in generated]
    facts = _facts(resources.pool, [path for _, clips in held for path in clips.values()])
    rates = Counter(round(fps) for fps, _ in facts.values())
    if not rates:
        raise UsageError(f"{generated[0]}: no clip can be read")
    benchmark = open_benchmark(folder, rates.most_common(1)[0][0], descriptions)
    facts |= _facts(resources.pool, [take for scene in benchmark.scenes for take in scene.takes])
    return benchmark, [(place, clips, problems(benchmark, clips, facts)) for place, clips in held]


def _facts(pool: Pool, paths: Sequence[Path]) -> dict[Path, tuple[float, float]]:
    found = {}
    for event in pool.run(DecoderJob(path, "probe") for path in dict.fromkeys(paths)):
        if event.kind == "done" and event.message is not None:
            facts = event.message.head["facts"]
            found[event.job.path] = (float(facts["fps"]), float(facts["frames"]) / float(facts["fps"]))
    return found


def measure(
    benchmark: Benchmark,
    held: Sequence[tuple[Path, Mapping[str, Path], Sequence[Wrong]]],
    conditioned_on: str,
    resources: Resources,
    store: FeatureStore,
    advance: Callable[[], None] = lambda: None,
) -> Result:
    """Compare every clip with both takes. What is stored already is not decoded again."""
    runs = tuple(_run(benchmark, *one, resources, store, advance) for one in held)
    scores = [run.settings[OFFICIAL] for run in runs]
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    complete = all(len(run.rows) == SCENES and not run.left_out for run in runs)
    return Result(runs, benchmark.fps, conditioned_on, float(np.mean(scores)), spread, complete)


def _run(
    benchmark: Benchmark,
    folder: Path,
    clips: Mapping[str, Path],
    wrong: Sequence[Wrong],
    resources: Resources,
    store: FeatureStore,
    advance: Callable[[], None],
) -> Run:
    scenes = usable(benchmark, clips, wrong)
    if not scenes:
        raise UsageError(f"{folder}: not one scene is complete; the first problem: {wrong[0].message}")
    left_out, rows = [one.message for one in wrong], list[Row]()
    compared = _compared(scenes, clips, resources, store, advance)
    for scene in scenes:
        found, why = compared[scene]
        if why:
            left_out.append(f"{clips[scene.id].name}: {why}")
        else:
            first, second, variance = found
            rows.append(Row(scene.id, scene.name, scene.view, scene.category, (first, second), variance))
    if not rows:
        raise UsageError(f"{folder}: no clip could be compared; the first: {left_out[len(wrong)]}")
    settings = {name: s for name, how in SETTINGS.items() if (s := score_of(rows, *how)) is not None}
    if OFFICIAL not in settings:
        raise UsageError(f"{folder}: the real takes have no motion in common, so there is no score")
    categories = {
        category: score
        for category in sorted({row.category for row in rows})
        if (score := score_of([row for row in rows if row.category == category])) is not None
    }
    return Run(folder, tuple(rows), settings, categories, tuple(left_out))


def _compared(
    scenes: Sequence[Scene],
    clips: Mapping[str, Path],
    resources: Resources,
    store: FeatureStore,
    advance: Callable[[], None],
) -> dict[Scene, tuple[list[Likeness], str]]:
    """For every scene the clip beside both takes, and both takes beside each other; or why not."""
    prepared = Prepared(pairs={PAIR.id: create_pair(PAIR.id).spec})
    needs = Needs(prepared.specs(), FIVE)
    hashes: dict[Path, str] = {}

    def source(path: Path, other: Path) -> Source:
        for one in (path, other):
            if one not in hashes:
                hashes[one] = resources.pool.probe(one).sha256
        return Source(hashes[path], path, Source(hashes[other], other))

    wanted = {
        scene: [source(clips[scene.id], take) for take in scene.takes] + [source(*scene.takes)]
        for scene in scenes
    }
    every = {one.name: one for sources in wanted.values() for one in sources if _differs(one)}
    lacking = [one for one in every.values() if needs.key(PAIR, one.of) not in store]
    failed: dict[str, Problems] = {}
    hooks = Hooks(lambda s, p: failed.__setitem__(s.name, p), advance=lambda s, f: advance())
    if lacking:
        extract_features(lacking, prepared, store, FIVE, LocalExecutor(resources, "cpu"), hooks)
    same = Likeness(1.0, 1.0, 1.0, 0.0)
    found: dict[Scene, tuple[list[Likeness], str]] = {}
    for scene, sources in wanted.items():
        problem = next((p for s in sources if (p := failed.get(s.name, {}).get(PAIR)) is not None), None)
        if problem is not None:
            found[scene] = ([], problem.message)
        else:
            found[scene] = (
                [likeness(store.get(needs.key(PAIR, s.of))) if _differs(s) else same for s in sources], "",
            )  # fmt: skip
    return found


def _differs(source: Source) -> bool:
    return source.other is not None and source.other.sha256 != source.sha256


def mean_of(rows: Sequence[Row]) -> Likeness:
    """The four measures of a run against take 1, each its mean."""
    return mean_likeness([row.takes[0] for row in rows])

"""Two runs video by video: scores of pairs that share prompt and seed, frame against frame.

Both videos are decoded once, in step. Features are kept in the first run's store under a key of both videos'
bytes, so a pair is never decoded twice; equal bytes are never decoded at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evals.decoding.resources import Progress, Resources
from evals.errors import Reason, UsageError
from evals.executors import LocalExecutor, Problem, Problems, Source
from evals.extract import Hooks, extract_features
from evals.metrics.fidelity import PairMetric
from evals.metrics.needs import Needs, Prepared
from evals.records import Normalization, Sample
from evals.runs.current import SampleId
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.scoring import Metrics


@dataclass(frozen=True)
class PairScore:
    """A metric of a video beside the other one. `curve` (n,) holds every frame's value; `identical` says that
    the two have the same bytes (then there is no curve). Without a value, `reason` and `message` say why."""

    status: Literal["ok", "skipped", "failed"]
    value: float | None = None
    reason: Reason | None = None
    message: str = ""
    identical: bool = False
    curve: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), repr=False)

    def worst_frame(self, direction: str) -> int | None:
        """The number of the worst frame."""
        if not len(self.curve):
            return None
        return int(self.curve.argmin() if direction == "higher" else self.curve.argmax())

    def first_beyond(self, limit: float, direction: str) -> int | None:
        """The number of the first frame that is worse than a limit: where drift begins."""
        beyond = self.curve < limit if direction == "higher" else self.curve > limit
        return int(beyond.argmax()) if beyond.any() else None


PairScores = dict[SampleId, dict[str, PairScore]]


def sources_of(run: RunFolder) -> dict[SampleId, Source]:
    """The videos of a run, by prompt and seed."""
    return {at: source_of(run, sample) for at, sample in run.samples().items() if sample.status == "ok"}


def source_of(run: RunFolder, sample: Sample) -> Source:
    """A sample's video."""
    return Source(str(sample.sha256), run.video_path(sample))


def score_pairs(
    run: RunFolder,
    others: Mapping[SampleId, Source],
    chosen: Metrics,
    normalization: Normalization | None = None,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> PairScores:
    """The pair metrics of every video of a run that has another of the same prompt and seed.

    Raises `UsageError` where no metric is one of pairs."""
    if not chosen.pair:
        raise UsageError("none of these metrics compares two videos; fidelity metrics do")
    if resources is None:
        with Resources() as own:
            return score_pairs(run, others, chosen, normalization, own, progress)
    normalization, progress = normalization or Normalization(), progress or Progress()
    mine = sources_of(run)
    pairs = {at: Source(mine[at].sha256, mine[at].path, other) for at, other in others.items() if at in mine}
    specs = chosen.prepared.specs()
    needs = Needs(specs, normalization)
    part = _of_pairs(chosen)
    with run.writing():
        store = FeatureStore(run.features)
        lacking = {
            source.name: source
            for source in pairs.values()
            if source.other is not None
            and source.sha256 != source.other.sha256
            and any(needs.key(need, source.of) not in store for need in part.of_pair)
        }
        progress.begin("pairs", len(lacking))
        problems: dict[str, Problems] = {}

        def committed(source: Source, found: Problems) -> None:
            problems[source.name] = found

        hooks = Hooks(committed, advance=lambda source, failed: progress.advance(failed))
        if lacking:
            device = resources.checked_device() if part.encoders else "cpu"
            extract_features(
                list(lacking.values()),
                part,
                store,
                normalization,
                LocalExecutor(resources, device),
                hooks,
            )
        return {
            at: {
                name: _score(metric, source, needs, store, problems.get(source.name, {}))
                for name, metric in chosen.pair.items()
            }
            for at, source in pairs.items()
        }


def _of_pairs(chosen: Metrics) -> Prepared:
    """What the pair metrics need, and nothing else."""
    used = {need.id for metric in chosen.pair.values() for need in metric.needs}
    made = chosen.prepared
    return Prepared(
        encoders={name: encoder for name, encoder in made.encoders.items() if name in used},
        pairs={name: spec for name, spec in made.pairs.items() if name in used},
    )


def _score(
    metric: PairMetric, source: Source, needs: Needs, store: FeatureStore, problems: Problems
) -> PairScore:
    assert source.other is not None
    if source.sha256 == source.other.sha256:
        return PairScore("ok", metric.identical, identical=True)
    problem: Problem | None = problems.get(metric.need)
    if problem is not None:
        return PairScore("skipped" if problem.skip else "failed", None, problem.reason, problem.message)
    try:
        features = needs.read(metric.need, source.of, store)
        curve, value = metric.curve(features), metric.pooled(features)
    except Exception as error:  # noqa: BLE001 - a metric's fault costs this pair alone
        return PairScore("failed", None, Reason.METRIC_ERROR, f"{type(error).__name__}: {error}")
    if not (np.isfinite(value) and np.isfinite(curve).all()):
        return PairScore("failed", None, Reason.METRIC_ERROR, "the metric gave a value that is no number")
    return PairScore("ok", value, curve=curve)

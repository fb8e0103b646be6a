"""What distribution metrics are measured against: a run, or a file of statistics that stands for one.

The file is an npz without pickles: `about` (JSON), `mean` (d,), `scatter` (d, d; sum of outer products
about the mean), and, where wanted, `features` (n, d); `about` holds the videos' prompts, categories and
hashes, where they are known. It is tied to the encoder with its weights and protocol, and to how videos
were normalized.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evals.compare.run_scores import RunScores, why_not_comparable
from evals.compare.vector_sets import Vectors
from evals.compare.vectors import vectors_of
from evals.encoders import Start
from evals.errors import MetricError, Reason, StatisticsError
from evals.metrics.base import DistributionMetric
from evals.metrics.moments import Moments
from evals.records import MetricInfo, Need, Spec, digest
from evals.runs.journal import write_atomically
from evals.runs.keys import metric_digest

FORMAT = 2
MAX_BYTES = 8 << 30
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class RunReference:
    """A run that was scored with the metric."""

    run: RunScores

    @property
    def label(self) -> str:
        return self.run.label

    @property
    def digest(self) -> str:
        """Stands for its features where there are none."""
        return ""

    def is_run(self, run: RunScores) -> bool:
        if run.folder is None or self.run.folder is None:
            return False
        return run.folder.path.resolve() == self.run.folder.path.resolve()

    def check(self, name: str, info: MetricInfo) -> None:
        """Raises `MetricError` unless its numbers compare with those that `info` describes."""
        known = self.run.metrics.get(name)
        if known is None:
            raise MetricError("the reference was not scored with it", Reason.NOT_SCORED)
        if metric_digest(known) != metric_digest(info):
            reason, message = why_not_comparable(info, known)
            raise MetricError(f"not comparable: {message}", reason)

    def vectors(self, name: str, metric: DistributionMetric) -> Vectors:
        return vectors_of(self.run, name, metric)

    def moments(self) -> Moments | None:
        return None


@dataclass(frozen=True)
class Statistics:
    """A file of statistics: an encoder's mean-pooled features of a set of videos, or their moments alone.
    `clips` says whether its clips were the first frames or random ones."""

    label: str
    encoder: str
    spec: Spec
    normalization: str
    total: Moments
    source: str = ""
    features: Vectors = field(default_factory=Vectors)
    clips: Start = "first"

    @property
    def digest(self) -> str:
        """Of its moments."""
        return digest([self.total.n, self.total.mean.tolist(), self.total.scatter.tolist()])

    def is_run(self, run: RunScores) -> bool:
        return False

    def check(self, name: str, info: MetricInfo) -> None:
        """Raises `MetricError` for another encoder, other weights, protocol or normalization."""
        need = str(Need("encoder", self.encoder))
        if need not in info.extractors:
            raise MetricError(f"the reference file holds features of {self.encoder}", Reason.OTHER_EXTRACTOR)
        other = info.extractors[need]
        if other != self.spec:
            changed = [k for k in other.params if other.params.get(k) != self.spec.params.get(k)]
            message = f"not comparable: {need} differs: {', '.join(changed) or 'its version'}"
            raise MetricError(message, Reason.OTHER_EXTRACTOR)
        if info.normalization != self.normalization:
            raise MetricError(
                f"not comparable: scored under {info.normalization}, the reference under"
                f" {self.normalization}",
                Reason.OTHER_NORMALIZATION,
            )

    def vectors(self, name: str, metric: DistributionMetric) -> Vectors:
        if metric.spec.params.get("pool") != "mean":
            raise MetricError("the reference file holds one feature per video, not of frames")
        return self.features

    def moments(self) -> Moments | None:
        return self.total

    def save(self, path: Path) -> None:
        """Write it. Raises `RunError` where that fails."""
        about = {
            "format": FORMAT,
            "encoder": self.encoder,
            "spec": self.spec.model_dump(mode="json"),
            "normalization": self.normalization,
            "n": self.total.n,
            "source": self.source,
            "clips": self.clips,
            "prompts": self.features.prompts,
            "categories": self.features.categories,
            "videos": self.features.hashes,
        }
        arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
        arrays |= {"mean": self.total.mean, "scatter": self.total.scatter}
        if self.features.rows:
            arrays["features"] = np.stack(self.features.rows)
        data = io.BytesIO()
        np.savez(data, **arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Read a file that `reference build` or `reference import` wrote. Raises `StatisticsError`."""
        arrays = _arrays(path)
        try:
            about = json.loads(str(arrays["about"]))
            if about["format"] != FORMAT:
                raise StatisticsError(f"is of format {about['format']}, this version reads {FORMAT}", path)
            spec, n = Spec.model_validate(about["spec"]), int(about["n"])
            rows = list(np.asarray(arrays["features"], np.float64)) if "features" in arrays else []
            ids, categories, hashes = (
                [str(x) for x in about[k]] for k in ("prompts", "categories", "videos")
            )
            known = [str(about[k]) for k in ("encoder", "normalization", "source")]
            mean, scatter = _moments(arrays["mean"], arrays["scatter"], path)
        except (KeyError, ValueError, TypeError) as error:
            raise StatisticsError(f"is no reference of this suite ({error}); `t2v-evals reference build`"
                                  " makes one, `reference import` reads others", path) from None  # fmt: skip
        lengths = {len(ids), len(categories), len(hashes)}
        if (rows and (lengths | {len(rows)} != {n} or rows[0].shape != mean.shape)) or lengths not in (
            {0},
            {n},
        ):
            raise StatisticsError("its features don't fit its other parts", path)
        if rows and not np.isfinite(rows).all():
            raise StatisticsError("its features hold NaN or infinity", path)
        vectors = Vectors(rows, ids, categories, hashes, videos=len(rows))
        clips: Start = "random" if about.get("clips") == "random" else "first"
        return cls(path.stem, known[0], spec, known[1], Moments(n, mean, scatter), known[2], vectors, clips)


def build(
    run: RunScores,
    encoder: str,
    name: str,
    metric: DistributionMetric,
    keep: bool,
    random_for: Spec | None = None,
) -> Statistics:
    """Statistics of a run's videos, scored with `name`; `keep` their features too. `random_for` is the
    spec of the encoder that takes first frames, where this run's took random clips to stand for it.

    Raises `MetricError` for a run without features or with fewer than two videos.
    """
    found = vectors_of(run, name, metric)
    if len(found.rows) < 2:
        raise MetricError(f"{run.label}: {len(found.rows)} videos have features; statistics need two")
    spec = random_for or run.metrics[name].extractors[str(Need("encoder", encoder))]
    total = Moments.of(np.stack(found.rows))
    if not keep:
        found.rows = []
    clips: Start = "random" if random_for else "first"
    return Statistics(run.label, encoder, spec, run.normalization, total, run.label, found, clips)


MEANS = ("mean", "mu", "raw_mean", "mean_")
COVARIANCES = ("covariance_ddof0", "covariance", "cov", "sigma", "raw_cov")
COUNTS = ("count", "n", "num_items", "num")


def import_statistics(
    path: Path, encoder: str, spec: Spec, normalization: str, ddof: int, count: int | None = None
) -> Statistics:
    """Another tool's mean and covariance, from an npz or a pickle of NumPy arrays, as features of
    `encoder`. That they are is the caller's word.

    `ddof` is what the covariance was divided with (StyleGAN-V's pickles hold raw sums instead). Raises
    `StatisticsError` for a file without them, without a count, or whose pickle needs more than NumPy.
    """
    arrays = _arrays(path) if zipfile.is_zipfile(path) else _unpickled(path)

    def first(names: Sequence[str]) -> Any:
        return next((arrays[n] for n in names if n in arrays), None)

    mean, covariance, given = first(MEANS), first(COVARIANCES), first(COUNTS)
    n = count if count is not None else None if given is None else int(np.asarray(given))
    if mean is None or covariance is None:
        raise StatisticsError(f"holds {', '.join(sorted(arrays)) or 'nothing'}; no mean and covariance", path)
    if n is None or n < 2:
        raise StatisticsError("does not say how many videos it is of; give --count", path)
    if "raw_mean" in arrays:  # StyleGAN-V keeps sums
        mean = np.asarray(mean, np.float64) / n
        covariance, ddof = np.asarray(covariance, np.float64) / n - np.outer(mean, mean), 0
    mean, covariance = _moments(mean, covariance, path)
    total = Moments(n, mean, covariance * (n - ddof))
    return Statistics(path.stem, encoder, spec, normalization, total, f"imported: {path.name}")


def _moments(mean: Any, second: Any, path: Path) -> tuple[Matrix, Matrix]:
    mean, second = np.asarray(mean, np.float64), np.asarray(second, np.float64)
    if mean.ndim != 1 or second.shape != (mean.size, mean.size):
        raise StatisticsError(f"mean and covariance are {mean.shape} and {second.shape}", path)
    if not (np.isfinite(mean).all() and np.isfinite(second).all()):
        raise StatisticsError("its mean or covariance hold NaN or infinity", path)
    return mean, second


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of an npz, none of them pickled."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StatisticsError(f"larger than {MAX_BYTES:,} bytes", path)
        # Opened here: of a damaged file, `np.load` would leave it open.
        with path.open("rb") as whole, np.load(whole, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError, AttributeError) as error:
        raise StatisticsError(f"is no readable npz: {str(error).splitlines()[0]:.200}", path) from None
    except Exception as error:  # noqa: BLE001 - a damaged zip fails in many ways
        raise StatisticsError(f"is no readable npz: {type(error).__name__}", path) from None


class _NumpyOnly(pickle.Unpickler):
    """Builds arrays, dtypes and scalars of NumPy, and plain containers; nothing else."""

    ADMITTED: ClassVar[set[tuple[str, str]]] = {
        (f"{package}.{module}", name)
        for package in ("numpy.core", "numpy._core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    } | {("numpy", "ndarray"), ("numpy", "dtype")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"it needs {module}.{name}, which is not admitted")
        return super().find_class(module, name)


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StatisticsError(f"larger than {MAX_BYTES:,} bytes", path)
        with path.open("rb") as file:
            found = _NumpyOnly(file).load()
    except StatisticsError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged pickles fail in every way
        raise StatisticsError(f"is no pickle of NumPy arrays: {error!s:.200}", path) from None
    if not isinstance(found, dict):
        raise StatisticsError("is a pickle of something other than named arrays", path)
    return {str(k): v for k, v in found.items()}

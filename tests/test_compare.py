"""Comparisons on made-up scores: verdicts, counts, pairing, warnings, and the files they end in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evals.compare import SCORES, Comparison, compare_scores, load_runs
from evals.compare.results import Caution, Distribution, Mean, Pair
from evals.errors import Reason, UsageError
from evals.metrics.base import OUTSIDE
from evals.metrics.distances import FrechetVideoDistance
from evals.metrics.frechet import frechet_distance
from evals.metrics.unbiased import frechet_unbiased
from evals.records import (
    MetricInfo,
    Normalization,
    Prompt,
    Sample,
    Score,
    ScoreLine,
    Settings,
    Spec,
    VideoFacts,
    digest,
)
from evals.report import FILES, write_report
from evals.report.tables import unmeasured
from evals.report.words import answer, sentences
from evals.runs import folder as run_folders
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal
from evals.runs.keys import feature_key, fields_digest, metric_digest, text_digest
from tests.helpers import edit_run

Values = dict[tuple[str, int], float | str]


def info(name: str = "m", **changes: Any) -> MetricInfo:
    fields = {"id": name, "spec": Spec(name=name), "extractors": {}, "direction": "higher", **changes}
    return MetricInfo.model_validate(fields)


def facts(**changes: Any) -> VideoFacts:
    base = {"width": 64, "height": 48, "frames": 16, "fps": 8.0, "duration": 2.0, "codec": "h264"}
    return VideoFacts.model_validate({**base, "pixel_format": "yuv420p", **changes})


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Write a run with given scores. A value is a number, or `skipped`, `failed`, `outside` (the score),
    `refused`, `broken`, `missing` (the sample)."""

    def make(
        name: str, values: Values, metric: MetricInfo | None = None, words: str = "text of {}", **shape: Any
    ) -> Path:
        metric = metric or info()
        folder = tmp_path / name
        run = run_folders.create(folder, f"folder:{name}", Spec(name=name), Settings())
        ids = list(dict.fromkeys(p for p, _ in values))
        prompts = {
            p: Prompt(id=p, text=words.format(p), category="even" if i % 2 else "odd")
            for i, p in enumerate(ids)
        }
        with (
            run.writing(),
            Journal(folder / "samples/main.jsonl") as samples,
            Journal(folder / "scores/main.jsonl") as scores,
        ):
            run.add([(prompts[p], seed) for p, seed in values])
            run.update(metrics={metric.normalization: {metric.id: metric}})
            for (p, seed), value in values.items():
                status = {"refused": "refused", "broken": "failed"}.get(str(value), "ok")
                why = {} if status == "ok" else {"reason": Reason.GENERATOR_ERROR, "message": "planted"}
                if value == "missing":
                    continue
                sample = Sample.model_validate({
                    "key": "k", "text_digest": text_digest(prompts[p]), "prompt_id": p, "seed": seed,
                    "status": status, "sha256": digest([name, p, seed]), "video": "v.mp4",
                    "actual": facts(**shape), **why,
                })  # fmt: skip
                samples.append(sample.to_json())
                if status != "ok":
                    continue
                stamp = {
                    "metric_digest": metric_digest(metric),
                    "fields_digest": fields_digest(prompts[p], metric.reads),
                }
                if value == "outside":
                    said = {"reason": OUTSIDE.reason, "message": OUTSIDE.message}
                    score = Score.model_validate({"status": "skipped", **said, **stamp})
                elif isinstance(value, str):
                    status, _, code = value.partition(":")
                    said = {"reason": code or Reason.METRIC_ERROR, "message": "planted"}
                    score = Score.model_validate({"status": status, **said, **stamp})
                else:
                    score = Score.model_validate({"status": "ok", "value": value, **stamp})
                line = ScoreLine(
                    prompt_id=p,
                    seed=seed,
                    sha256=str(sample.sha256),
                    normalization=metric.normalization,
                    scores={metric.id: score},
                )
                scores.append(line.to_json())
        return folder

    return make


def of(*paths: Path) -> Comparison:
    return compare_scores(load_runs(paths))


def said(found: Comparison, code: Caution) -> list[str]:
    """The sentences of one caution."""
    return [w.message for w in found.warnings if w.code == code]


def values(mean: float, n: int = 30, seeds: int = 1, spread: float = 1.0, seed: int = 0) -> Values:
    rng = np.random.default_rng(seed)
    return {(f"p{i}", s): float(mean + spread * rng.normal()) for i in range(n) for s in range(seeds)}


@pytest.mark.parametrize(("direction", "verdict"), [("higher", "better"), ("lower", "worse"), ("none", None)])
def test_a_clear_difference_has_a_verdict(
    made: Callable[..., Path], direction: str, verdict: str | None
) -> None:
    role = "diagnostic" if direction == "none" else "primary"
    metric = info(direction=direction, role=role)
    found = of(made("a", values(2.0), metric), made("b", values(0.0, seed=1), metric))
    pair = found.pairs[0]
    assert (pair.a, pair.b, pair.verdict, pair.n_pairs) == ("a", "b", verdict, 30)
    assert pair.ci_low is not None and pair.ci_low > 0
    assert pair.p is not None and pair.p < 0.05 and (pair.p_holm is None) == (verdict is None)
    assert pair.difference == pytest.approx(
        np.mean(list(values(2.0).values())) - np.mean(list(values(0.0, seed=1).values()))
    )


def test_videos_out_of_domain_are_named_because_the_rest_may_be_the_better(made: Callable[..., Path]) -> None:
    some, none = values(0.0), dict.fromkeys(values(0.0), "outside")
    none["p7", 0] = "skipped"  # for another reason: still no mean to speak of
    some["p3", 0] = some["p4", 0] = "outside"
    found = of(made("a", some), made("b", none), made("c", values(0.0)))
    assert said(found, Caution.OUT_OF_DOMAIN) == [
        "a: m: 2 of 30 videos are out of domain; the mean is over 28 others, which may be the better ones",
        "b: m: 29 of 30 videos are out of domain",
    ]


def test_no_difference_is_not_called_equal(made: Callable[..., Path]) -> None:
    found = of(made("a", values(0.0)), made("b", values(0.0, seed=1)))
    pair = found.pairs[0]
    assert (pair.verdict, pair.reason) == ("inconclusive", Reason.UNDECIDED)
    assert pair.detectable is not None and pair.more_prompts is not None and pair.more_prompts > 0
    assert "would show" in pair.message and f"takes {pair.more_prompts} more prompts" in pair.message
    assert answer(found) == "No difference shown between a and b."
    assert sentences(found)[0] == "a: no aspect in which a difference is shown."


def test_too_few_prompts_are_inconclusive(made: Callable[..., Path]) -> None:
    found = of(made("a", values(9.0, n=5)), made("b", values(0.0, n=5, seed=1)))
    pair = found.pairs[0]
    assert pair.verdict == "inconclusive" and "cannot go below 0.062" in pair.message
    assert pair.ci_low is None and said(found, Caution.FEW_PROMPTS)


def test_seeds_of_a_prompt_are_not_independent(made: Callable[..., Path]) -> None:
    """Twenty identical seeds of five prompts are five observations, not a hundred."""
    a: Values = {(f"p{i}", s): 1.0 + i for i in range(5) for s in range(20)}
    b: Values = {(f"p{i}", s): 0.5 + i for i in range(5) for s in range(20)}
    pair = of(made("a", a), made("b", b)).pairs[0]
    assert (pair.n_pairs, pair.n_prompts, pair.verdict) == (100, 5, "inconclusive")


def test_pairs_are_by_prompt_and_seed(made: Callable[..., Path]) -> None:
    a: Values = {("x", 0): 5.0, ("x", 1): 7.0, ("y", 0): 1.0, ("z", 0): 9.0}
    b: Values = {("x", 0): 1.0, ("x", 1): 1.0, ("y", 0): 2.0, ("w", 0): 4.0}
    pair = of(made("a", a), made("b", b)).pairs[0]
    assert pair.n_pairs == 3 and pair.n_prompts == 2
    assert pair.difference == pytest.approx(((4 + 6) / 2 + (-1)) / 2)
    assert pair.coverage == pytest.approx(3 / 5)


def test_failures_lower_the_coverage_and_forbid_a_verdict(made: Callable[..., Path]) -> None:
    """A model that fails on the hard half must not look better for it."""
    survivors = values(5.0, n=40)
    for i in range(20):
        survivors[f"p{i}", 0] = ["broken", "refused", "failed", "missing"][i % 4]
    found = of(made("a", survivors), made("b", values(0.0, n=40, seed=1)))
    pair = found.pairs[0]
    assert pair.verdict == "inconclusive" and "only 50 %" in pair.message.replace("50%", "50 %")
    assert pair.reason == Reason.LOW_COVERAGE
    row = next(m for m in found.means if m.run == "a" and m.category == "all")
    counts = [row.n_ok, row.n_failed, row.n_skipped, row.n_refused, row.n_missing]
    assert counts == [20, 10, 0, 5, 5]
    assert "a: 15 of 40 samples have no video" in said(found, Caution.MISSING_VIDEOS)[0]


def test_what_does_not_apply_to_a_prompt_is_not_a_failure(made: Callable[..., Path]) -> None:
    skipped = values(5.0, n=40)
    for i in range(15):
        skipped[f"p{i}", 0] = "skipped:prompt_excludes"
    found = of(made("a", skipped), made("b", values(0.0, n=40, seed=1)))
    pair = found.pairs[0]
    assert pair.coverage == 1 and pair.verdict == "better" and pair.n_pairs == 25


@pytest.mark.parametrize("why", ["too_few_frames", "too_short", "frame_rate_too_low", "does_not_apply"])
def test_videos_that_cannot_be_scored_are_no_coverage(made: Callable[..., Path], why: str) -> None:
    """Two prompts of three answered with one-frame clips: the third does not make the better model."""
    good = values(5.0, n=60)
    for i in range(40):
        good[f"p{i}", 0] = f"skipped:{why}"
    pair = of(made("a", good), made("b", values(0.0, n=60, seed=1))).pairs[0]
    assert (pair.verdict, pair.reason) == ("inconclusive", Reason.LOW_COVERAGE)
    assert pair.coverage == pytest.approx(1 / 3)


def test_a_score_that_a_flipped_direction_would_read_otherwise_is_not_read(
    made: Callable[..., Path],
) -> None:
    a = made("a", values(1.0))
    edit_run(a, lambda data: data["metrics"]["native"]["m"].update(direction="lower"))
    assert set(load_runs([a])[0].scores["status"]) == {"missing"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spec": Spec(name="m", version=2)}, "other versions of the metric: 1 and 2"),
        (
            {"extractors": {"encoder:x": Spec(name="e", params={"weights_sha256": "b"})}},
            "encoder:x differs: weights_sha256",
        ),
        ({"normalization": "fps=8"}, "other normalizations: native and fps=8"),
    ],
)
def test_what_is_not_comparable_says_so(
    made: Callable[..., Path], change: dict[str, Any], reason: str
) -> None:
    base: dict[str, Any] = {"extractors": {"encoder:x": Spec(name="e", params={"weights_sha256": "a"})}}
    a = made("a", values(5.0), info(**base))
    b = made("b", values(0.0, seed=1), info(**{**base, **change}))
    pair = of(a, b).pairs[0]
    assert pair.verdict == "not comparable" and reason in pair.message
    assert pair.difference is None and pair.p is None


def test_a_metric_that_only_one_run_has(made: Callable[..., Path]) -> None:
    found = of(made("a", values(1.0), info("m")), made("b", values(1.0), info("other")))
    assert {pair.verdict for pair in found.pairs} == {"not scored"}
    assert "b was not scored with it" in {pair.message for pair in found.pairs}


def test_other_words_under_one_id_are_left_out(made: Callable[..., Path]) -> None:
    found = of(made("a", values(1.0)), made("b", values(0.0, seed=1), words="other words of {}"))
    pair = found.pairs[0]
    assert pair.n_pairs == 0 and pair.verdict == "not comparable" and "in the same words" in pair.message
    assert "other words" in said(found, Caution.OTHER_WORDS)[0]


def test_other_sizes_carry_a_warning_and_a_remedy(made: Callable[..., Path]) -> None:
    metric = info(temporal=True)
    a = made("a", values(1.0), metric)
    b = made("b", values(0.0, seed=1), metric, width=128, height=96, fps=24.0, frames=72, duration=3.0)
    [warning] = said(of(a, b), Caution.RUNS_DIFFER)
    assert "differ in size, fps, frames" in warning
    assert "--normalize fps=8,seconds=2,short_side=48" in warning
    same = of(a, made("c", values(0.0, seed=1), metric))
    assert not said(same, Caution.RUNS_DIFFER)
    shorter = of(made("d", values(0.0)), made("e", values(0.0, seed=1), frames=8, duration=1.0))
    assert not said(shorter, Caution.RUNS_DIFFER)  # nothing scored there looks at time


def test_rates_have_an_interval_within_0_and_1(made: Callable[..., Path]) -> None:
    metric = info(binary=True, low=0.0, high=1.0)
    ones: Values = {(f"p{i}", 0): 1.0 for i in range(25)}
    found = of(made("a", ones, metric), made("b", dict.fromkeys(ones, 0.0), metric))
    row = found.means[0]
    assert row.ci_low is not None
    assert row.category == "all" and row.ci_high == pytest.approx(1) and 0.8 < row.ci_low < 0.9
    high = found.pairs[0].ci_high
    assert found.pairs[0].verdict == "better" and high is not None and high <= 1


def test_intervals_stay_within_the_metrics_range(made: Callable[..., Path]) -> None:
    metric = info(low=0.0, high=1.0)
    rare: Values = {(f"p{i}", 0): 0.3 if i == 0 else 0.0 for i in range(25)}
    assert of(made("a", rare, metric)).means[0].ci_low == 0.0


def test_categories_have_means_of_their_own(made: Callable[..., Path]) -> None:
    found = of(made("a", {("x", 0): 1.0, ("y", 0): 3.0, ("z", 0): 5.0}))
    assert {m.category: m.mean for m in found.means} == {"all": 3.0, "even": 3.0, "odd": 3.0}
    assert not found.pairs


def with_features(run: Path, features: np.ndarray[Any, Any]) -> Path:
    """Give a run an encoder's features and a distribution metric on them."""
    opened = RunFolder(run)
    spec = Spec(name="enc", params={"weights_sha256": "w"})
    chosen = info(
        "fvd[a/b]", kind="distribution", extractors={"encoder:a/b": spec}, direction="lower",
        spec=FrechetVideoDistance("a/b").spec,
    )  # fmt: skip
    store = FeatureStore(opened.features)
    for sample, row in zip(opened.samples().values(), features, strict=True):
        store.put(feature_key(str(sample.sha256), spec, Normalization()), {"features": row[None, None]})
    store.commit()
    opened.update(metrics={"native": {**opened.info.metrics["native"], chosen.id: chosen}})
    return run


def test_distribution_metrics_are_computed_against_a_reference(made: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(1, 2, size=(25, 4)).astype(np.float32)
    a, r = with_features(made("a", values(0.0)), x), with_features(made("r", values(0.0, n=25)), y)
    found = compare_scores(load_runs([a, r]), load_runs([r])[0])
    [row] = found.distributions  # a run is not measured against itself
    assert (row.run, row.reference, row.n, row.n_reference) == ("a", "r", 30, 25)
    assert row.value == pytest.approx(frechet_distance(x, y), rel=1e-9)
    assert "N = 30 against 25 is far too few" in said(found, Caution.SMALL_SETS)[0]
    bias = frechet_unbiased(
        x, y, blocks=8, groups=([f"p{i}" for i in range(30)], [f"p{i}" for i in range(25)])
    )
    sentence = f"fvd[a/b]: of these values about {bias.bias:.3g} is sample-size bias (jackknife)"
    assert said(found, Caution.SAMPLE_SIZE_BIAS) == [sentence]
    assert [m.mean for m in found.means if m.metric == "fvd[a/b]"] == [row.value]
    alone = compare_scores(load_runs([a]))
    assert not alone.distributions and not alone.warnings
    assert unmeasured(alone).startswith("fvd[a/b]: measured against a reference") and not unmeasured(found)


def test_a_distance_is_keyed_by_its_sets_and_not_computed_by_another_version(
    made: Callable[..., Path],
) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(30, 4)).astype(np.float32) for _ in "xy")
    a, r = with_features(made("a", values(0.0)), x), with_features(made("r", values(0.0)), y)
    [row], [again] = (compare_scores(load_runs([a]), load_runs([r])[0]).distributions for _ in "ab")
    assert row.key and row.key == again.key
    other = with_features(made("other", values(0.0)), y)
    [moved] = compare_scores(load_runs([other]), load_runs([r])[0]).distributions
    assert moved.key != row.key

    def newer(data: dict[str, Any]) -> None:
        data["metrics"]["native"]["fvd[a/b]"]["spec"]["version"] = 7

    for run in (a, r):
        edit_run(run, newer)
    refused = compare_scores(load_runs([a]), load_runs([r])[0])
    assert not refused.distributions
    assert "was recorded at version 7" in said(refused, Caution.NOT_MEASURED)[0]


def test_a_reference_of_another_encoder_is_refused(made: Callable[..., Path]) -> None:
    a = with_features(made("a", values(0.0)), np.zeros((30, 4), np.float32))
    r = with_features(made("r", values(0.0)), np.zeros((30, 4), np.float32))

    def other(data: dict[str, Any]) -> None:
        encoder = data["metrics"]["native"]["fvd[a/b]"]["extractors"]["encoder:a/b"]
        assert encoder["params"]["weights_sha256"] == "w"
        encoder["params"]["weights_sha256"] = "other"

    edit_run(r, other)
    found = compare_scores(load_runs([a]), load_runs([r])[0])
    assert not found.distributions
    said_so = said(found, Caution.NOT_MEASURED)
    assert "not comparable: encoder:a/b differs: weights_sha256" in said_so[0]


def test_load_refuses_what_it_cannot_mean(made: Callable[..., Path]) -> None:
    a = made("a", values(0.0))
    with pytest.raises(UsageError, match="given twice"):
        load_runs([a, a])
    with pytest.raises(UsageError, match="has no scores under fps=8"):
        load_runs([a], Normalization(fps=8))


def test_files_and_same_inputs_same_bytes(made: Callable[..., Path], tmp_path: Path) -> None:
    a, b = made("a", values(1.0)), made("b", values(0.0, seed=1))
    for out in ("one", "two"):
        write_report(of(a, b), tmp_path / out)
    files = {str(p.relative_to(tmp_path / "one")) for p in (tmp_path / "one").rglob("*") if p.is_file()}
    assert {*FILES, "figures/forest.svg", "figures/forest-dark.svg", "figures/forest.pdf"} < files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    scores = pd.read_csv(tmp_path / "one" / "scores.csv")
    assert list(scores.columns) == SCORES and len(scores) == 60
    for name, kind in (("means", Mean), ("pairs", Pair), ("distributions", Distribution)):
        frame = pd.read_csv(tmp_path / "one" / f"{name}.csv")
        assert list(frame.columns) == list(kind.model_fields)
    data = json.loads((tmp_path / "one" / "comparison.json").read_text())
    assert data["schema"] == 2
    assert data["pairs"][0]["verdict"] == "better" and data["metrics"]["m"]["direction"] == "higher"


def test_page_escapes_what_users_wrote(made: Callable[..., Path], tmp_path: Path) -> None:
    hostile = '<script>alert("x")</script> & "quotes" {} | *'
    a = made("a", values(1.0), info(note=hostile, unit=hostile), words=hostile)
    b = made("b", dict.fromkeys(values(1.0), "failed"), info(note=hostile, unit=hostile), words=hostile)
    page = write_report(of(a, b), tmp_path / "out").read_text()
    assert '<script>alert("x")' not in page and "&lt;script&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page  # self-contained

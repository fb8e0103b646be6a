"""The gate's verdicts on made-up scores, and every way in which a gate could be fooled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evals.errors import UsageError
from evals.gate import baseline as files
from evals.gate.accept import accept
from evals.gate.check import Options
from evals.gate.deciding import exceeding, judge, overall, tail
from evals.gate.records import Baseline, Calibration, Repeats
from evals.runs.folder import RunFolder
from tests.gating import (
    FALLING,
    METRICS,
    RISING,
    again,
    baseline_of,
    empty_run,
    model,
    moved,
    scores,
    verdict,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return empty_run(tmp_path / "run")


# --- verdicts ---


def test_the_same_scores_pass_as_identical(folder: RunFolder, rng: np.random.Generator) -> None:
    run = scores(folder, model(rng))
    found = verdict(baseline_of(run), run)
    assert found.verdict == "pass" and found.exit_code == 0
    assert {row.outcome for row in found.rows} == {"identical"}


def test_a_small_change_passes_and_a_large_one_does_not(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    base = baseline_of(scores(folder, values))
    margin = base.margins["good"]
    repeat = verdict(base, scores(folder, again(values, rng, 0.05)))
    assert repeat.verdict == "pass"
    slight = verdict(base, scores(folder, moved(again(values, rng, 0.05), good=-0.5 * margin)))
    row = next(row for row in slight.rows if row.metric == "good")
    assert (slight.verdict, row.outcome) == ("pass", "worse within the margin")
    clear = verdict(base, scores(folder, moved(again(values, rng, 0.05), good=-2 * margin)))
    assert clear.verdict == "regression" and clear.exit_code == 1
    assert [row.metric for row in clear.rows if row.outcome == "worse"] == ["good"]
    other = verdict(base, scores(folder, moved(again(values, rng, 0.05), bad=2 * margin)))
    assert [row.metric for row in other.rows if row.outcome == "worse"] == ["bad"]


def test_better_passes(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    found = verdict(baseline_of(scores(folder, values)), scores(folder, moved(values, good=1.0, bad=-1.0)))
    assert found.verdict == "pass"
    assert {r.outcome for r in found.rows if r.metric in ("good", "bad")} == {"better"}


def test_too_few_prompts_are_inconclusive_and_say_how_many_more(
    folder: RunFolder, rng: np.random.Generator
) -> None:
    values = model(rng, prompts=12, noise=1.0)
    found = verdict(baseline_of(scores(folder, values)), scores(folder, again(values, rng, 1.0)))
    assert found.verdict == "inconclusive" and found.exit_code == 3
    opened = [row for row in found.rows if row.outcome == "inconclusive"]
    assert opened and all(row.more_prompts for row in opened)


def test_interval_and_verdict_agree(rng: np.random.Generator) -> None:
    """The bound lies within the margin exactly where no worse is shown."""
    from evals.compare.flips import sign_flips

    columns = rng.normal(rng.uniform(-0.6, 0.2, 200), 1, (40, 200))
    margins = [0.4] * 200
    for one in judge(sign_flips(columns), margins):
        assert one.bound is not None
        assert (one.bound > -0.4) == (one.p_no_worse <= 0.05)


def test_one_open_metric_is_enough_to_withhold_a_pass() -> None:
    assert overall(["no worse", "better", "inconclusive"], "none") == "inconclusive"
    assert overall(["no worse", "not comparable"], "none") == "inconclusive"
    assert overall(["not comparable"] * 2, "none") == "not comparable"
    assert overall(["no worse", "worse"], "none") == "regression"
    assert overall(["no worse"], "many") == "regression"
    assert overall(["no worse"], "few") == "inconclusive"
    assert overall([], "none") == "inconclusive"
    assert overall(["no worse", "identical", "better", "worse within the margin"], "none") == "pass"


# --- single prompts that break ---


def test_chance_of_the_largest_being_the_candidates(rng: np.random.Generator) -> None:
    """By shuffling, and by hand: of 2 + 1 values the largest is one of the two with chance 2/3."""
    assert exceeding(1, 2, 1) == pytest.approx(2 / 3)
    assert exceeding(2, 2, 1) == pytest.approx(1 / 3)
    assert exceeding(0, 5, 5) == 1.0 and exceeding(3, 9, 0) == 1.0 and exceeding(3, 2, 5) == 0.0
    orders = rng.random((20_000, 9)).argsort(axis=1)[:, -3:]
    assert exceeding(3, 6, 3) == pytest.approx((orders < 6).all(1).mean(), abs=0.015)


def test_rare_catastrophes_are_found(folder: RunFolder, rng: np.random.Generator) -> None:
    """Seven prompts of a hundred break: the mean is within the margin, and the gate says which ones."""
    values = model(rng, noise=0.2)
    base = baseline_of(scores(folder, values), margin=0.5)
    broken = again(values, rng, 0.02)
    broken["good"][10:17] -= 4.0
    found = verdict(base, scores(folder, broken))
    assert found.tail.outcome == "many" and found.verdict == "regression"
    assert set(found.tail.prompts) == {f"p{i:03d}" for i in range(10, 17)}
    assert set(found.tail.metrics) == {"good"}


def test_other_videos_that_are_as_good_are_no_catastrophe(
    folder: RunFolder, rng: np.random.Generator
) -> None:
    """Another stream of noise: many prompts drop further than repeats ever did, and as many rise."""
    values = model(rng, noise=0.0)
    still = Repeats(metrics=("good", "bad"), differences=((0.0, 0.0),) * 200, seeds=2)
    base = baseline_of(scores(folder, values), margin=1.0)
    calibration = Calibration(
        platform=base.platform, runs=("a", "b", "c"), made="", identical=True, separations=(), repeats=still
    )
    base = base.model_copy(update={"calibrations": (calibration,)})
    found = verdict(base, scores(folder, again(values, rng, 1.2)))
    assert found.tail.count > 10 and found.tail.outcome == "none" and found.verdict == "pass"


def test_sign_test() -> None:
    import scipy.stats

    from evals.gate.deciding import sign_test

    for down, up in ((5, 0), (7, 2), (3, 9), (40, 20)):
        theirs = scipy.stats.binomtest(down, down + up, alternative="greater").pvalue
        assert sign_test(down, up) == pytest.approx(theirs)
    assert sign_test(0, 4) == 1.0


def test_repeats_bound_the_tail(rng: np.random.Generator) -> None:
    """What repeats showed themselves is no catastrophe."""
    noise = rng.standard_t(2, (200, 3))
    found = tail(rng.standard_t(2, (100, 3)), noise, np.ones(3))
    assert found.limit >= 4 and found.outcome == "none"
    assert tail(np.zeros((10, 2)), np.zeros((10, 2)), np.zeros(2)).outcome == "none"


def test_a_tiny_change_of_a_deterministic_model_is_no_catastrophe(
    folder: RunFolder, rng: np.random.Generator
) -> None:
    """A more accurate kernel: repeats never differ, the candidate does, by next to nothing."""
    values = model(rng)
    base = baseline_of(scores(folder, values))
    still = Repeats(metrics=("good", "bad"), differences=((0.0, 0.0),) * 200, seeds=2)
    calibration = Calibration(
        platform=base.platform, runs=("a", "b", "c"), made="", identical=True, separations=(), repeats=still
    )
    base = base.model_copy(update={"calibrations": (calibration,)})
    found = verdict(base, scores(folder, again(values, rng, 1e-4)))
    assert found.verdict == "pass" and found.tail.outcome == "none" and found.tail.n_repeats == 200


def test_without_repeats_the_tail_is_not_tested_and_nothing_passes(
    folder: RunFolder, rng: np.random.Generator
) -> None:
    values = model(rng, seeds=1)
    found = verdict(baseline_of(scores(folder, values)), scores(folder, again(values, rng, 0.01)))
    assert (found.tail.outcome, found.verdict) == ("not tested", "inconclusive")


# --- ways to fool it ---


def test_a_metric_that_is_missing(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    base = baseline_of(scores(folder, values))
    found = verdict(base, scores(folder, {"good": values["good"]}, infos=[RISING]))
    assert found.verdict == "inconclusive"
    assert [row.outcome for row in found.rows if row.metric == "bad"] == ["not scored"]


def test_another_version_of_a_metric(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    newer = FALLING.model_copy(update={"spec": FALLING.spec.model_copy(update={"version": 2})})
    found = verdict(baseline_of(scores(folder, values)), scores(folder, values, infos=[RISING, newer]))
    assert found.verdict == "inconclusive"
    row = next(row for row in found.rows if row.metric == "bad")
    assert row.outcome == "not comparable" and "version" in row.message


def test_half_of_the_samples(folder: RunFolder, rng: np.random.Generator) -> None:
    """Leaving the bad ones out never passes, and neither does leaving out any."""
    values = model(rng)
    base = baseline_of(scores(folder, values))
    half = {name: value[:50] for name, value in values.items()}
    found = verdict(base, scores(folder, half))
    assert found.verdict == "regression"  # the rate of failures alone says so
    assert next(r for r in found.rows if r.metric == "failure_rate").outcome == "worse"
    seed = {name: value[:, :1] for name, value in values.items()}
    assert verdict(base, scores(folder, seed)).verdict != "pass"
    few = {name: value[:93] for name, value in values.items()}
    found = verdict(base, scores(folder, few))
    assert found.verdict != "pass"
    assert {r.reason.value for r in found.rows if r.metric == "good" and r.reason} == {"low_coverage"}


def test_failing_on_the_worst_videos_does_not_help(folder: RunFolder, rng: np.random.Generator) -> None:
    """4 % lost, so that coverage holds: they count as the baseline's worst."""
    values = model(rng, noise=0.05)
    base = baseline_of(scores(folder, values), margin=0.05)
    worse = {name: value.copy() for name, value in again(values, rng, 0.01).items()}
    for place in np.argsort(values["good"].mean(1))[:4]:
        worse["good"][place] = np.nan
    row = next(r for r in verdict(base, scores(folder, worse)).rows if r.metric == "good")
    assert row.outcome == "no worse"
    for place in np.argsort(values["good"].mean(1))[-4:]:  # the best lost: filled in as the worst
        worse["good"][place] = np.nan
    for place in np.argsort(values["good"].mean(1))[:4]:
        worse["good"][place] = values["good"][place]
    row = next(r for r in verdict(base, scores(folder, worse)).rows if r.metric == "good")
    assert row.outcome == "inconclusive"


def test_the_order_of_the_files_changes_nothing(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    base = baseline_of(scores(folder, values))
    run = scores(folder, again(values, rng, 0.05))
    turned = replace(run, samples=run.samples[::-1].reset_index(drop=True),
                     scores=run.scores[::-1].reset_index(drop=True))  # fmt: skip
    first, second = verdict(base, run), verdict(base, turned)
    assert first.rows == second.rows and first.tail == second.tail


def test_other_words_are_another_prompt(folder: RunFolder, rng: np.random.Generator) -> None:
    run = scores(folder, model(rng))
    words = {p: prompt.model_copy(update={"text": "something else"}) for p, prompt in run.prompts.items()}
    assert verdict(baseline_of(run), replace(run, prompts=words)).verdict != "pass"


def test_more_samples_than_the_baseline_has_are_left_out(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng, prompts=120)
    part = {name: value[:100] for name, value in values.items()}
    found = verdict(baseline_of(scores(folder, part)), scores(folder, values))
    assert found.verdict == "pass" and found.samples == 200


def test_a_metric_that_never_varied(folder: RunFolder, rng: np.random.Generator) -> None:
    """No margin can be taken from it: the same values pass, others don't."""
    values = {"good": np.ones((100, 2)), "bad": model(rng)["bad"]}
    base = baseline_of(scores(folder, values))
    assert "good" not in base.margins
    assert verdict(base, scores(folder, values)).verdict == "pass"
    changed = {**values, "good": 1 - 0.1 * (rng.random((100, 2)) < 0.02)}
    assert verdict(base, scores(folder, changed)).verdict == "inconclusive"


# --- platforms, looks, accepted shifts ---


def test_looks_use_the_first_seeds_at_a_third_of_the_level(
    folder: RunFolder, rng: np.random.Generator
) -> None:
    values = model(rng, seeds=4)
    base = baseline_of(scores(folder, values))
    one = {name: value[:, :1] for name, value in values.items()}
    found = verdict(base, scores(folder, one), Options(look=1))
    assert found.verdict == "pass" and found.samples == 100 and found.level == pytest.approx(0.05 / 3)
    assert verdict(base, scores(folder, one), Options(look=2)).verdict != "pass"
    with pytest.raises(UsageError, match="needs 4 seeds"):
        verdict(baseline_of(scores(folder, model(rng))), scores(folder, values), Options(look=3))


def test_levels_of_checkpoints_sum_to_the_level() -> None:
    from evals.gate.spending import of_checkpoint

    assert sum(of_checkpoint(t) for t in range(1, 100_000)) == pytest.approx(0.05, abs=1e-6)
    assert Options(checkpoint=1).level() == of_checkpoint(1) < 0.05


def test_accepting_keeps_margins_and_the_reason(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    base = baseline_of(scores(folder, values))
    lower = scores(folder, moved(values, good=-1.0), "lower")
    assert verdict(base, lower).verdict == "regression"
    new = accept(base, lower, "the new sampler is\nfour times faster")
    assert new.margins == base.margins and new.shifts[-1].because == "the new sampler is four times faster"
    assert new.shifts[-1].differences["good"] == pytest.approx(-1.0)
    found = verdict(new, lower)
    assert found.verdict == "pass" and found.shifts == new.shifts
    with pytest.raises(UsageError, match="say why"):
        accept(base, lower, "  ")
    with pytest.raises(UsageError, match="not scored with bad"):
        accept(base, scores(folder, {"good": values["good"]}, infos=[RISING]), "because")


def test_platforms() -> None:
    from evals.gate.records import differing

    a = {"gpu": "A", "torch": "2.1", "dtype": "bf16"}
    assert differing(a, a) == {}
    assert differing(a, {**a, "torch": "2.2"}) == {"torch": ("2.1", "2.2")}
    assert differing(a, {**a, "torch": "2.2"}, ("torch",)) == {}
    assert differing(a, {**a, "driver": "1"}) == {"driver": ("–", "1")}


def test_every_metric_decides_in_its_direction(folder: RunFolder) -> None:
    run = scores(folder, {"good": np.zeros((3, 1)), "bad": np.zeros((3, 1))})
    assert list(files.deciding(run.metrics, None, {})) == [*(m.id for m in METRICS), *files.RATES]
    assert isinstance(baseline_of(run), Baseline)

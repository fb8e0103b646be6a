"""Every metric sees the flaw that it is for, on paired films whose truth is known: docs/flaws.md in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.distances import Films, drawable, films, measure
from benchmarks.flaws import PROMISED
from benchmarks.flaws import measure as paired
from evals.cli.demo import choose_prompts
from evals.records import PromptSet


@pytest.mark.nightly
def test_flaws_at_their_strongest_are_detected_without_flow(tmp_path: Path) -> None:
    """In small; all metrics and strengths are checked nightly."""
    wanted = {"temporal_flicker", "frozen_frames", "sharpness"}
    promised = {k: s[-1] for k, s in PROMISED.items() if k[1] in wanted}
    cases = sorted({(flaw, s) for (flaw, _), s in promised.items()})
    cells = paired(choose_prompts(7), cases, sorted({metric for _, metric in promised}), tmp_path)
    found = {key: cells[key[0], s, key[1]].detected for key, s in promised.items()}
    assert all(found.values()), found


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_each_flaw_moves_its_metric_and_more_of_it_moves_it_further(tmp_path: Path) -> None:
    """With the middle and the largest strength: at the weakest, 24 prompts are too few for some."""
    promised = {k: s[1:] for k, s in PROMISED.items() if k[1] != "dynamic_degree[dis]"}
    cases = sorted({(flaw, s) for (flaw, _), strengths in promised.items() for s in strengths})
    cells = paired(choose_prompts(8), cases, sorted({metric for _, metric in promised}), tmp_path)
    for (flaw, metric), strengths in promised.items():
        weak, strong = (cells[flaw, s, metric] for s in strengths)
        assert strong.detected and (weak.detected or metric == "warping_error[dis]"), (
            flaw,
            metric,
            weak,
            strong,
        )
        assert weak.difference * strong.difference > 0
        assert abs(strong.difference) > abs(weak.difference), (flaw, metric)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_distances_rise_with_the_strength_and_clean_sets_are_at_zero(tmp_path: Path) -> None:
    made = PromptSet(name="some", prompts=drawable().prompts[::2])
    clean, reference, third = (
        films(name, "simulated:clean", made, seeds, tmp_path)
        for name, seeds in (("clean", (0, 1)), ("reference", (2, 3)), ("third", (4, 5)))
    )
    other = measure(Films({(p, s - 4): row for (p, s), row in third.rows.items()}), clean, reference)
    assert abs(other.kvd) < 0.005 and other.p > 0.05
    far = [
        measure(films(f"vanish-{s}", f"simulated:vanish@{s}", made, (0, 1), tmp_path), clean, reference)
        for s in (0.3, 1.0)
    ]
    assert max(other.kvd, far[0].clean_kvd) < far[0].kvd < far[1].kvd and far[1].kvd > 0.02
    assert far[0].clean_fvd < far[0].fvd < far[1].fvd
    assert far[1].p == pytest.approx(0.001) and far[0].p < 0.05
    assert far[1].matched.low is not None and far[1].matched.low > 0

"""Figures: what they hold, in both colours and both formats; hostile names; the same bytes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

from evals.compare import Comparison, Rules, compare_scores
from evals.compare.run_scores import RunScores
from evals.gate.records import Bistability, Calibration, Detection, Rate, Repeats, Separation
from evals.records import MetricInfo, Spec
from evals.report import figures
from evals.report.figures import FIGURES, style
from evals.report.figures.style import DARK, INK

HOSTILE = "$x_{1}$ <b>&\x07 日本 ▲" + "y" * 60


def info(name: str, aspect: str = "motion", direction: str = "higher") -> MetricInfo:
    return MetricInfo.model_validate({
        "id": name, "spec": Spec(name=name), "extractors": {}, "direction": direction, "aspect": aspect,
    })  # fmt: skip


def of(shifts: dict[str, float], baseline: str | None = None, prompts: int = 24) -> Comparison:
    """Models whose scores differ by a shift; two categories; refusals of the last model."""
    metrics = [info("m"), info("n", "appearance", "lower")]
    runs = []
    for name, shift in shifts.items():
        table = pd.DataFrame({
            "prompt_id": [f"p-{i}" for i in range(prompts)],
            "category": ["even" if i % 2 == 0 else "odd" for i in range(prompts)],
            "m": [i / 10 + shift * (i % 2) for i in range(prompts)],
            "n": [(7 * i % 11) / 5 - shift for i in range(prompts)],
        })  # fmt: skip
        runs.append(RunScores.of_table(name, table, metrics))
    return compare_scores(runs, rules=Rules(baseline=baseline))


@pytest.fixture(scope="module")
def two() -> Comparison:
    return of({"a": 0.0, "b": 3.0}, "a")


def test_the_forest_says_what_the_standings_say(two: Comparison) -> None:
    plot = FIGURES["forest"](two)
    assert plot is not None
    [standing] = two.standings
    rows = {row[0]: row for row in plot.rows}
    assert set(rows) == {"motion", "appearance"}
    for one in standing.aspects:
        assert one.gain is not None
        row = rows[one.aspect]
        sign = 1 if standing.a == "b" else -1
        assert float(row[2].replace("−", "-")) == pytest.approx(sign * one.gain, abs=0.005)
        assert row[1] == "b" and row[4] == "better"


def test_a_category_shows_where_the_gain_is(two: Comparison) -> None:
    """`m` differs on odd prompts alone: by 3, of a spread that the standings divide by."""
    plot = FIGURES["forest-categories"](two)
    assert plot is not None
    gains = {(row[0], row[1]): float(row[3].replace("−", "-")) for row in plot.rows}
    assert gains["even", "motion"] == 0 and gains["odd", "motion"] > 1
    whole = next(x.gain for x in two.standings[0].aspects if x.aspect == "motion")
    assert whole is not None
    assert gains["odd", "motion"] / 2 == pytest.approx(abs(whole), abs=0.01)  # half of the prompts
    assert gains["even", "appearance"] == pytest.approx(gains["odd", "appearance"], rel=0.5)


def test_win_rates_add_up(two: Comparison) -> None:
    three = of({"a": 0.0, "b": 3.0, "c": -1.0})
    plot = FIGURES["win-rates"](three)
    assert plot is not None
    rates = {(row[0], row[1], row[2]): float(row[3].rstrip(" %")) for row in plot.rows}
    assert rates["motion", "b", "a"] == 75  # ahead on odd prompts, alike on even ones
    for (aspect, a, b), rate in rates.items():
        assert rate + rates[aspect, b, a] == pytest.approx(100, abs=1)


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    plots = figures.plots(of({"a": 0.0, "b": 3.0, HOSTILE: -1.0}))
    assert [p.name for p in plots] == ["forest", "forest-categories", "heatmap", "win-rates", "spread"]
    figures.write(plots, tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    expected = [f"{p.name}{end}" for p in plots for end in ("-dark.svg", ".pdf", ".svg")]
    assert files == sorted(expected)
    for name in files:
        data = (tmp_path / name).read_bytes()
        if name.endswith(".pdf"):
            assert data.startswith(b"%PDF") and b"CreationDate" not in data
            continue
        ET.fromstring(data.decode())  # whole XML
        text = data.decode()
        assert not re.search(r"<script|href=.https?:(?!//www\.w3)|\x07", text)
        assert ("#1b1f24" in text) == (not name.endswith("-dark.svg")) and DARK[INK] != INK


def test_a_long_name_is_cut_and_a_dollar_stays() -> None:
    assert len(style.label("x" * 100)) == style.LONGEST and style.label("$x$") == "$x$"
    assert style.label("a\x07b") == "a·b"


def test_one_model_has_means_and_spreads_only() -> None:
    assert [p.name for p in figures.plots(of({"a": 0.0}))] == ["heatmap", "spread"]


def test_a_gates_calibration_is_drawn(two: Comparison, tmp_path: Path) -> None:
    rate = Rate(count=0, n=10, low=0.0, high=0.3)
    kinds = (
        Detection(kind="blur", separated=True, missed=rate, mildest=0.8),
        Detection(kind="noise", separated=False, missed=rate, mildest=None),
    )
    separation = Separation(
        metric="fidelity_ssim", info=info("fidelity_ssim", "fidelity"), usable=True, threshold=0.9,
        worst_repeat=0.95, median_repeat=0.99, false_alarms=rate, kinds=kinds,
        bistability=Bistability(coefficient=0.3, dip=0.01, limit=0.1, bistable=False),
    )  # fmt: skip
    calibration = Calibration(
        platform={"gpu": "H200"}, runs=("a", "b"), made="", identical=False, separations=(separation,),
        repeats=Repeats(metrics=(), differences=(), seeds=1),
    )  # fmt: skip
    plots = figures.plots(two, [calibration])
    assert plots[-1].name == "calibration-1" and plots[-1].rows[0][1:4] == ["0.900", "0.990", "0.950"]
    figures.write(plots[-1:], tmp_path)
    assert "repeats: median to worst" in (tmp_path / "calibration-1.svg").read_text()

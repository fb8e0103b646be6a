"""Whether a judge's numbers may decide: only where its model is pinned and it passed its controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evals.compare.results import JudgeUse
from evals.compare.run_scores import RunScores
from evals.errors import Reason
from evals.judges.forms import REQUIRED
from evals.records import Calibration, Control, MetricInfo, Need, Spec

FAILED: dict[Control, str] = {
    "answers": "left too many control questions without an answer",
    "yes_share": "gives one answer whatever is asked",
    "consistency": "contradicts itself when a question is negated",
    "pictures": "answers alike for another prompt's clip",
    "motion": "does not tell a clip from a frozen one",
    "shows": "does not rate a clip above another prompt's for showing the prompt",
    "semantic": "does not rate a clip above another prompt's",
    "physics": "does not rate a clip above itself with its frames shuffled",
    "pairs": "does not prefer a clip, in both orders, to what is plainly worse",
}


def judged(info: MetricInfo) -> dict[str, tuple[str, Spec]]:
    """The forms that a metric asks a judge, with its name and spec; nothing for other metrics."""
    found = {}
    for name, spec in info.extractors.items():
        need = Need.parse(name)
        if need.kind == "answers":
            form, _, judge = need.id.partition(":")
            found[form] = (judge, spec)
    return found


def doubt_of(info: MetricInfo, calibrations: Mapping[str, Calibration]) -> tuple[Reason, str] | None:
    """Why a run's numbers of a metric have no verdicts; None for one that asks no judge, or a good one."""
    for form, (judge, spec) in judged(info).items():
        if not spec.params.get("pinned"):
            return Reason.JUDGE_UNPINNED, (
                f"the name {judge} can come to mean another model; name a dated release, or say which weights"
                " it is with --judge-option revision=…"
            )
        known = calibrations.get(_digest(spec))
        required = REQUIRED.get(form, ())  # type: ignore[call-overload]
        if known is not None and "answers" in known.fails:
            share = known.rates["answers"].value
            return Reason.JUDGE_FAILED, f"the judge answered {share:.0%} of its control questions"
        if known is None or not {"answers", *required} <= {*known.rates, *known.fails}:
            return (
                Reason.JUDGE_UNCALIBRATED,
                f"{judge} was not asked its controls in this run; score it again",
            )
        if failed := [control for control in required if control in known.fails]:
            return Reason.JUDGE_FAILED, f"the judge {'; '.join(FAILED[control] for control in failed)}"
    return None


def _digest(spec: Spec) -> str:
    """Of the judge alone, whatever form it was asked in."""
    params = {name: value for name, value in spec.params.items() if name != "form"}
    return spec.model_copy(update={"params": params}).digest


def judge_uses(runs: Sequence[RunScores], infos: Mapping[str, MetricInfo]) -> Iterator[JudgeUse]:
    """A record per run and judge, and per reason where its metrics differ in that."""
    for run in runs:
        found: dict[tuple[str, str, Reason | None, str], list[str]] = {}
        for name, info in run.metrics.items():
            if name not in infos or not (forms := judged(info)):
                continue
            judge, spec = next(iter(forms.values()))
            reason, message = doubt_of(info, run.calibrations) or (None, "")
            found.setdefault((judge, _digest(spec), reason, message), []).append(name)
        for (judge, digest, reason, message), metrics in found.items():
            yield JudgeUse(
                run=run.label, judge=judge, metrics=tuple(metrics), reason=reason, message=message,
                calibration=run.calibrations.get(digest),
            )  # fmt: skip

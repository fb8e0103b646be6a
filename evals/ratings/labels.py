"""People's labels of a judge's questions: a few hundred correct the judge's rate over everything.

A label file is CSV with the columns `prompt_id`, `question`, `answer`, and perhaps `seed` (0) and `rater`.
`question` is the id of one of the prompt's questions (its number, from 1, where it has none), answered `yes`
or `no`; or `semantic` or `physics`, answered 1 to 5."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from evals.errors import LabelsError, MetricError, UsageError
from evals.judges.forms import as_expected
from evals.judges.wording import RATINGS, YES_NO
from evals.metrics.needs import Needs, VideoAndText, recorded_specs
from evals.ratings.agreement import Agreement, kappa
from evals.ratings.prediction_powered import Corrected, corrected_mean
from evals.records import Need, Normalization, Prompt, Question, is_regular
from evals.runs.current import SampleId
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder

COLUMNS = ("prompt_id", "question", "answer")
RATED = {"semantic": "judge_semantic", "physics": "judge_physics"}
QUESTIONS = "judge_alignment"
MOST_BYTES = 100 << 20


@dataclass(frozen=True)
class Label:
    """One person's answer about one sample."""

    at: SampleId
    question: str
    answer: str


@dataclass(frozen=True)
class LabelledMetric:
    """A metric beside people's labels: the judge's mean over all `prompts`, people's over the labelled ones,
    the corrected mean (or why there is none), and kappa over `answers` pairs of answers."""

    metric: str
    prompts: int
    labelled: int
    judge: float
    people: float
    corrected: Corrected | None
    why_none: str
    kappa: Agreement | None


def read_labels(path: Path) -> list[Label]:
    """All labels of a file. Raises `LabelsError` with its line."""
    if not is_regular(path) or path.stat().st_size > MOST_BYTES:
        raise LabelsError("no such file, or not a plain one of at most 100 MB", path)
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if lacks := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise LabelsError(f"has no column {', '.join(lacks)}; it needs {', '.join(COLUMNS)}", path)
            for row in rows:
                found.append(_label(row, path, rows.line_num))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"is no CSV in UTF-8: {error}", path) from None
    if not found:
        raise LabelsError("holds no label", path)
    return found


def _label(row: Mapping[str, str | None], path: Path, line: int) -> Label:
    text = {name: (row.get(name) or "").strip() for name in (*COLUMNS, "seed")}
    allowed = RATINGS if text["question"] in RATED else YES_NO
    if text["answer"].lower() not in allowed:
        raise LabelsError(f"the answer {text['answer']!r:.40} is none of {', '.join(allowed)}", path, line)
    try:
        seed = int(text["seed"] or 0)
    except ValueError:
        raise LabelsError(f"the seed {text['seed']!r:.40} is no whole number", path, line) from None
    if not text["prompt_id"] or not text["question"]:
        raise LabelsError("names no prompt or no question", path, line)
    return Label((text["prompt_id"], seed), text["question"], text["answer"].lower())


def compare_labels(
    run: RunFolder, labels: Sequence[Label], judge: str | None = None, normalization: str = "native"
) -> list[LabelledMetric]:
    """Every metric of the run's judge that people labelled. `judge` names one of several. Raises
    `UsageError` for labels of what is not in the run, or a run without a judge's answers."""
    metrics = run.info.metrics.get(normalization, {})
    judges = dict.fromkeys(
        Need.parse(name).id.partition(":")[2]
        for info in metrics.values() for name in info.extractors if name.startswith("answers:")
    )  # fmt: skip
    if judge is None:
        if len(judges) != 1:
            said = f"several judges ({', '.join(judges)}); name one with --judge" if judges else "no judge"
            raise UsageError(f"{run.path}: its scores under {normalization} come from {said}")
        judge = next(iter(judges))
    elif judge not in judges:
        raise UsageError(f"{run.path}: was not scored by {judge} (it was by: {', '.join(judges) or 'none'})")
    known = set(run.sample_ids())
    for one in labels:
        if one.at not in known:
            raise UsageError(f"labels name prompt {one.at[0]}, seed {one.at[1]}, which {run.path} has not")
    found = []
    of_questions = [one for one in labels if one.question not in RATED]
    if of_questions:
        found.append(_questions(run, of_questions, judge, normalization))
    for form, base in RATED.items():
        if mine := [one for one in labels if one.question == form]:
            found.append(_ratings(run, mine, f"{base}[{judge}]", normalization))
    return found


def _questions(run: RunFolder, labels: Sequence[Label], judge: str, normalization: str) -> LabelledMetric:
    """Labels of the prompts' yes/no questions: of a sample that is labelled, of all its questions, but for
    those below one that people did not answer as expected."""
    metric = f"{QUESTIONS}[{judge}]"
    if metric not in run.info.metrics[normalization]:
        raise UsageError(f"{run.path}: was not scored with {metric}; labels of questions are for that")
    by_sample: dict[SampleId, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in labels:
        prompt = run.prompts[one.at[0]]
        if one.question not in _ids(prompt.questions):
            raise UsageError(
                f"labels name question {one.question!r} of {one.at[0]}, which has"
                f" {', '.join(_ids(prompt.questions)) or 'none'}"
            )
        by_sample[one.at][one.question].append(one.answer)
    theirs = {at: _people(run.prompts[at[0]], given) for at, given in by_sample.items()}
    said = _answers(run, metric, judge, normalization)
    pairs: list[tuple[float, float, str]] = []
    for at, given in by_sample.items():
        mine = dict(zip(_ids(run.prompts[at[0]].questions), said.get(at, ()), strict=False))
        for name, answers in given.items():
            share = mine.get(name, np.nan)
            if not np.isnan(share) and share != 0.5:
                pairs += [(float(share > 0.5), float(answer == "yes"), at[0]) for answer in answers]
    return _against(run, metric, normalization, theirs, pairs, (0.0, 1.0), False)


def _people(prompt: Prompt, given: Mapping[str, Sequence[str]]) -> float:
    """The score that people's answers give. Raises `UsageError` for a question without an answer that counts
    in it."""
    ids = _ids(prompt.questions)
    shares = [fmean(a == "yes" for a in given[name]) if name in given else np.nan for name in ids]
    right = as_expected(prompt.questions, shares)
    held = dict(zip((question.id for question in prompt.questions), right, strict=True))
    for name, question, share in zip(ids, prompt.questions, shares, strict=True):
        if np.isnan(share) and all(held[other] > 0.5 for other in question.depends_on):
            raise UsageError(
                f"labels of {prompt.id} lack question {name!r}: a labelled sample needs an answer to each"
                " question that can be asked"
            )
    return fmean(right)


def _ids(questions: Sequence[Question]) -> list[str]:
    return [question.id or str(number) for number, question in enumerate(questions, 1)]


def _answers(run: RunFolder, metric: str, judge: str, normalization: str) -> dict[SampleId, list[float]]:
    """The judge's share of yes to every question, of every sample that it answered about."""
    info = run.info.metrics[normalization][metric]
    shape = Normalization.parse(normalization)
    needs, store = Needs(recorded_specs(info), shape), FeatureStore(run.features)
    need, found = Need("answers", f"questions:{judge}"), {}
    for at, sample in run.samples().items():
        if sample.status == "ok":
            of = VideoAndText(str(sample.sha256), prompt=run.prompts[at[0]])
            if (key := needs.key(need, of)) in store:
                found[at] = [float(x) for x in store.get(key)["yes"]]
    return found


def _ratings(run: RunFolder, labels: Sequence[Label], metric: str, normalization: str) -> LabelledMetric:
    """Labels from 1 to 5."""
    given: dict[SampleId, list[float]] = defaultdict(list)
    for one in labels:
        given[one.at].append(float(one.answer))
    pairs: list[tuple[float, float, str]] = []
    for at, mine in run.scores(normalization).items():
        score = mine.get(metric)
        if score is not None and score.value is not None:
            pairs += [(float(round(score.value)), value, at[0]) for value in given.get(at, ())]
    theirs = {at: fmean(values) for at, values in given.items()}
    return _against(run, metric, normalization, theirs, pairs, (1.0, 5.0), True)


def _against(
    run: RunFolder, metric: str, normalization: str, theirs: Mapping[SampleId, float],
    pairs: Sequence[tuple[float, float, str]], ends: tuple[float, float], ordered: bool,
) -> LabelledMetric:  # fmt: skip
    """A metric's scores beside what people's labels give for some of the samples."""
    people, judged, rated = _Means(), _Means(), _Means()
    for at, mine in run.scores(normalization).items():
        score = mine.get(metric)
        if score is None or score.value is None:
            continue
        if at in theirs:
            people.add(at, theirs[at])
            judged.add(at, score.value)
        else:
            rated.add(at, score.value)
    if not people.prompts:
        raise UsageError(f"{run.path}: none of the labelled samples has a score of {metric}")
    return _result(metric, people, judged, rated, pairs, ends, ordered)


class _Means:
    """Values of samples, averaged by prompt."""

    def __init__(self) -> None:
        self.prompts: dict[str, list[float]] = {}

    def add(self, at: SampleId, value: float) -> None:
        self.prompts.setdefault(at[0], []).append(value)

    def of(self, prompts: Sequence[str]) -> list[float]:
        return [fmean(self.prompts[name]) for name in prompts]


def _result(
    metric: str, people: _Means, judged: _Means, rated: _Means, pairs: Sequence[tuple[float, float, str]],
    ends: tuple[float, float], ordered: bool,
) -> LabelledMetric:  # fmt: skip
    labelled = sorted(people.prompts)
    others = sorted(set(rated.prompts) - set(labelled))
    y, f, u = people.of(labelled), judged.of(labelled), rated.of(others)
    corrected, why = None, ""
    try:
        corrected = corrected_mean(y, f, u, *ends)
    except MetricError as error:
        why = str(error)
    values = [float(x) for x in RATINGS] if ordered else [0.0, 1.0]
    found = kappa([p[0] for p in pairs], [p[1] for p in pairs], [p[2] for p in pairs], values, ordered) \
        if pairs else None  # fmt: skip
    return LabelledMetric(metric, len(y) + len(u), len(y), fmean([*f, *u]), fmean(y), corrected, why, found)

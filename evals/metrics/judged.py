"""What a judge says of a video, as numbers."""

from __future__ import annotations

import numpy as np

from evals.errors import Reason
from evals.judges.forms import KINDS, OTHER, Form, as_expected, kind_of
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.records import Need, Spec

SUCCESS = 4.0  # VideoPhy-2's bound on both ratings
ADRIFT = "votes differ"


class Judged(VideoMetric):
    """Base of metrics on one form of questions to the judge in the brackets."""

    takes = "JUDGE"
    forms: tuple[Form, ...]

    def __init__(self, judge: str) -> None:
        self.needs = tuple(Need("answers", f"{form}:{judge}") for form in self.forms)


class JudgeAlignment(Judged):
    """The share of the prompt's yes/no questions that the judge answers as the prompt expects; a question
    that depends on another counts as answered so only where that one is. The answer is the majority's of the
    votes, half where they are split. Sub-scores by kind of question.

    Does not apply to prompts without questions."""

    spec = Spec(name="judge_alignment", version=1)
    about = About(
        "higher", 0.0, 1.0, unit="share", source="DSG (Cho et al. 2024), on the prompts' own questions",
        note="what the judge cannot see in the frames it is shown; read it beside the judge's controls",
        aspect="alignment",
    )  # fmt: skip
    forms = ("questions",)
    reads = ("questions",)

    def score(self, clip: Clip) -> Value | Skip:
        questions = clip.prompt.questions
        if not questions:
            return Skip("the prompt has no questions", Reason.NO_QUESTIONS)
        shares = np.asarray(clip[self.needs[0]]["yes"], np.float64)
        right = np.array(as_expected(questions, [float(x) for x in shares]))
        kinds = np.array([kind_of(question) for question in questions])
        parts = {
            kind: float(right[kinds == kind].mean()) for kind in (*KINDS, OTHER) if (kinds == kind).any()
        }
        asked = ~np.isnan(shares)
        split = int(((shares[asked] > 0) & (shares[asked] < 1)).sum())
        notes = (f"{ADRIFT} on {split} of {int(asked.sum())} questions",) if split else ()
        return Value(float(right.mean()), notes, parts)


class VqaScore(Judged):
    """The probability of "Yes" to whether the video shows the prompt, from the log-probabilities of the
    judge's first word; the mean over votes. Needs an endpoint that gives them."""

    spec = Spec(name="vqa_score", version=1)
    about = About(
        "higher", 0.0, 1.0, unit="probability", source="VQAScore (Lin et al. 2024), asked about a video",
        note="one number for the whole prompt: what is wrong it does not say", aspect="alignment",
    )  # fmt: skip
    forms = ("shows",)
    reads = ("text",)

    def score(self, clip: Clip) -> Value | Skip:
        return Value(float(np.asarray(clip[self.needs[0]]["yes"]).mean()))


class _Rating(Judged):
    def score(self, clip: Clip) -> Value | Skip:
        found = np.asarray(clip[self.needs[0]]["rating"], np.float64)
        said = ", ".join(f"{x:g}" for x in sorted(found))
        return Value(float(found.mean()), (f"{ADRIFT}: {said}",) if np.ptp(found) else ())


class JudgeSemantic(_Rating):
    """How well the video matches its prompt, rated from 1 to 5 by the judge; the mean over votes."""

    spec = Spec(name="judge_semantic", version=1)
    about = About(
        "higher", 1.0, 5.0, unit="rating", source="semantic adherence of VideoPhy-2 (Bansal et al. 2025)",
        note="a judge's 4 is no other judge's 4", aspect="alignment",
    )  # fmt: skip
    forms = ("semantic",)
    reads = ("text",)


class JudgePhysics(_Rating):
    """How well what happens agrees with everyday physics, rated from 1 to 5 by the judge without the prompt;
    the mean over votes. Does not apply to prompts annotated `counterfactual: true`."""

    spec = Spec(name="judge_physics", version=1)
    about = About(
        "higher", 1.0, 5.0, unit="rating", rewarded_by=("stillness",),
        source="physical commonsense of VideoPhy-2 (Bansal et al. 2025)",
        note="a still picture breaks no law; judges see few frames", aspect="physics",
    )  # fmt: skip
    forms = ("physics",)
    reads = ("counterfactual",)


class JudgeJoint(Judged):
    """Whether the judge rates both the match with the prompt and the physics at least 4: VideoPhy-2's joint
    success. Does not apply to prompts annotated `counterfactual: true`."""

    spec = Spec(name="judge_joint", version=1)
    about = About(
        "higher", 0.0, 1.0, binary=True, source="joint performance of VideoPhy-2 (Bansal et al. 2025)",
        note="follows from judge_semantic and judge_physics", aspect="physics", role="diagnostic",
    )  # fmt: skip
    forms = ("semantic", "physics")
    reads = ("text", "counterfactual")

    def score(self, clip: Clip) -> Value | Skip:
        means = [float(np.asarray(clip[need]["rating"], np.float64).mean()) for need in self.needs]
        return Value(float(min(means) >= SUCCESS))


JUDGED = ("judge_alignment", "judge_semantic", "judge_physics", "judge_joint")
"""What `--judge` adds to a suite's metrics; `vqa_score` only where it is asked for, as few endpoints give
log-probabilities."""

"""What is asked about a video, by form: the prompt's own questions, whether it shows the prompt, and ratings.

A form turns answers into features, which metrics read and which are stored like all others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from evals.errors import DoesNotApply, Reason
from evals.judges import wording
from evals.judges.base import Ask, Reply
from evals.records import Control, Prompt, Question, QuestionKind
from evals.runs.features import Features

Form = Literal["questions", "shows", "semantic", "physics"]
FORMS: tuple[Form, ...] = get_args(Form)
KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
OTHER = "other"  # the kind of a question that names none
Answering = Callable[[Ask], list[Reply]]
"""All votes on a question. Raises `NoAnswer`."""


@dataclass(frozen=True)
class Votes:
    """What the votes on a question say together."""

    replies: list[Reply]

    def share(self, choice: str) -> float:
        """The share of votes for a choice."""
        return sum(reply.choice == choice for reply in self.replies) / len(self.replies)

    @property
    def mean(self) -> float:
        """Of ratings."""
        return float(np.mean([int(str(reply.choice)) for reply in self.replies]))


def quoted(text: str) -> str:
    """A text that stands between quotation marks and can't end them."""
    return " ".join(text.replace('"', "'").split())


def yes_no(text: str) -> Ask:
    """A question to be answered yes or no."""
    return Ask(quoted(text), wording.YES_NO)


def negated(text: str) -> Ask:
    """The same question, to which the other answer is right."""
    return Ask(wording.NEGATED.format(text=quoted(text)), wording.YES_NO)


def shows(text: str) -> Ask:
    """VQAScore's question."""
    return Ask(wording.SHOWS.format(text=quoted(text)), wording.YES_NO, probabilities=True)


def rating(form: Form, text: str) -> Ask:
    """VideoPhy-2's two ratings."""
    words = wording.PHYSICS if form == "physics" else wording.SEMANTIC.format(text=quoted(text))
    return Ask(words, wording.RATINGS)


def better(aspect: str, text: str) -> Ask:
    """Which of two videos is the better one in an aspect."""
    return Ask(wording.BETTER[aspect].format(text=quoted(text)), wording.PREFERENCES)


def kind_of(question: Question) -> str:
    return question.kind or OTHER


def of_questions(prompt: Prompt, answering: Answering) -> Features:
    """`yes` (n,): the share of votes that say yes, NaN where a question was not asked because the one it
    depends on was not answered as expected."""
    found: list[float] = []
    for question in prompt.questions:
        right = as_expected(prompt.questions[: len(found)], found)
        holds = {q.id: value > 0.5 for q, value in zip(prompt.questions, right, strict=False)}
        if all(holds[other] for other in question.depends_on):
            found.append(Votes(answering(yes_no(question.text))).share("yes"))
        else:
            found.append(math.nan)
    return {"yes": np.array(found, np.float64)}


def as_expected(questions: Sequence[Question], yes: Sequence[float]) -> list[float]:
    """Whether each question was answered as its prompt expects: 1, 0, or 0.5 for split votes. `yes` are
    shares of votes that say yes; NaN, and what depends on a question that was not answered so, count as 0."""
    found: dict[str | None, float] = {}
    made = []
    for question, share in zip(questions, yes, strict=True):
        expected = share if question.answer == "yes" else 1 - share
        right = 0.5 if expected == 0.5 else float(expected > 0.5)
        if math.isnan(share) or any(found[other] <= 0.5 for other in question.depends_on):
            right = 0.0
        found[question.id] = right
        made.append(right)
    return made


def _of_shows(prompt: Prompt, answering: Answering) -> Features:
    """`yes` (votes,): the probability of yes."""
    replies = answering(shows(prompt.text))
    return {"yes": np.array([reply.probabilities["yes"] for reply in replies], np.float64)}


def _of_rating(form: Form) -> Callable[[Prompt, Answering], Features]:
    def ask(prompt: Prompt, answering: Answering) -> Features:
        """`rating` (votes,), 1 to 5."""
        replies = answering(rating(form, prompt.text))
        return {"rating": np.array([int(str(reply.choice)) for reply in replies], np.float64)}

    return ask


ASKED: Mapping[str, Callable[[Prompt, Answering], Features]] = {
    "questions": of_questions,
    "shows": _of_shows,
    "semantic": _of_rating("semantic"),
    "physics": _of_rating("physics"),
}


def excludes(form: str, prompt: Prompt) -> DoesNotApply | None:
    """Why a form is not asked about a prompt's videos; None where it is."""
    if form == "questions" and not prompt.questions:
        return DoesNotApply("the prompt has no questions", Reason.NO_QUESTIONS)
    if form in ("shows", "semantic") and not prompt.text_known:
        return DoesNotApply("the clip's prompt is not known, only its file's name", Reason.NO_PROMPT_TEXT)
    if form == "physics" and prompt.counterfactual:
        return DoesNotApply("the prompt asks for what everyday physics rules out", Reason.PROMPT_EXCLUDES)
    return None


def count(form: str, prompt: Prompt) -> int:
    """How many questions a form asks about a prompt's video, at most."""
    if excludes(form, prompt) is not None:
        return 0
    return len(prompt.questions) if form == "questions" else 1


def read_of(form: str, prompt: Prompt) -> Any:
    """What of a prompt a form puts into its questions, as a part of the answers' key."""
    if form == "questions":
        return [[q.id, q.text, q.answer, list(q.depends_on)] for q in prompt.questions]
    return None if form == "physics" else prompt.text


CONTROLS: tuple[Control, ...] = (
    "yes_share", "consistency", "pictures", "motion", "order", "shows", "semantic", "physics", "pairs",
)  # fmt: skip
_BASE: tuple[Control, ...] = ("answers", "yes_share", "consistency", "pictures")
PAIRWISE: tuple[Control, ...] = (*_BASE, "pairs")
"""What preferences between two videos rest on."""
REQUIRED: Mapping[Form, tuple[Control, ...]] = {
    "questions": _BASE,
    "shows": (*_BASE, "shows"),
    "semantic": (*_BASE, "semantic"),
    "physics": (*_BASE, "motion", "physics"),
}
"""The controls that a form's numbers rest on; `order` is reported and decides nothing."""

"""Rules on the wording of questions: what a viewer of the silent video can answer with yes or no."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evals.prompts.lint.finding import Finding, about
from evals.records import PromptSet, Question

FEWEST, MOST, LONGEST = 2, 5, 20  # questions of a prompt; words of a question
OPENINGS = ("Is", "Are", "Does", "Do", "Has", "Have", "Can")
UNSEEN = re.compile(
    r"\b(prompt|describ|caption|request|intend|want|feel|think|hear|sound|nois[ey]|loud|smell|as asked"
    r"|beautiful|realistic|because)\w*",
    re.IGNORECASE,
)
"""Words of what no camera shows, or that ask for the prompt instead of the video."""
OWNED = frozenset({"attribute", "action", "relation"})
"""Kinds of question that are about something that must be there first."""


def wording(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Questions that are too many or few, incomplete, no yes/no questions, or not about the video."""
    for found in sets:
        for prompt in found.prompts:
            asked = prompt.questions
            if asked and not FEWEST <= len(asked) <= MOST:
                message = f"has {len(asked)} questions; {FEWEST} to {MOST} are wanted"
                yield about("questions", found, prompt, message)
            if asked and asked[0].kind not in (None, "subject"):
                yield about(
                    "questions", found, prompt, "the first question is not whether a subject is there"
                )
            if "law" in found.rules.requires and asked and not any(q.kind == "physics" for q in asked):
                yield about("questions", found, prompt, "no question of kind physics decides the law")
            if len({q.text.casefold() for q in asked}) < len(asked):
                yield about("questions", found, prompt, "asks the same question twice")
            for question in asked:
                for message in _problems(question):
                    yield about("questions", found, prompt, f"{message}: {question.text}")


def _problems(question: Question) -> Iterator[str]:
    text = question.text
    if question.id is None or question.kind is None:
        yield "a question needs an id and a kind"
    if text.split()[0] not in OPENINGS or not text.endswith("?"):
        yield f"begins with {', '.join(OPENINGS[:-1])} or {OPENINGS[-1]}, and ends with a question mark"
    if len(text.split()) > LONGEST:
        yield f"has more than {LONGEST} words"
    if unseen := UNSEEN.search(text):
        yield f"the silent video alone does not show {unseen[0]!r}"
    if question.kind in OWNED and not question.depends_on:
        yield f"a question of kind {question.kind} depends on the one whether its subject is there"

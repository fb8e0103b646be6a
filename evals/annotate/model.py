"""Annotations by a language model behind a chat endpoint."""

from __future__ import annotations

import json
import re
from typing import get_args

from pydantic import ValidationError

from evals.annotate.rules import with_guesses
from evals.errors import UsageError
from evals.records import (
    CameraMove,
    Difficulty,
    Law,
    Motion,
    Prompt,
    Question,
    QuestionKind,
    Record,
    Subject,
    explain,
)
from evals.remote.chat import Chat
from evals.remote.outcomes import Rejected, Unknown

FIELDS = (
    "category", "difficulty", "subjects", "action", "place", "motion", "camera", "law", "must_see",
    "violated_by", "questions",
)  # fmt: skip


def _any(choice: object) -> str:
    return ", ".join(f'"{name}"' for name in get_args(choice))


INSTRUCTIONS = f"""You annotate a prompt for a text-to-video model. Answer with one JSON object, no more:
{{"category": one word, "difficulty": one of {_any(Difficulty)},
 "subjects": [{{"kind": singular noun, "count": 1-20, "colour": one word or null,
   "size": "small", "medium", "large" or null, "action": bare verb or null, "target": kind or null}}],
 "action": bare verb of what mainly happens, "place": noun or null,
 "motion": how much moves, one of {_any(Motion)},
 "camera": null or one of {_any(CameraMove)},
 "law": null, or the one law of nature that decides what must be seen, one of {_any(Law)},
 "must_see": where there is a law, short phrases of what a lawful video shows,
 "violated_by": and of what would break it,
 "questions": 2 to 5 yes/no questions that the silent video alone answers,
   [{{"id": a-z and hyphens, "kind": one of {_any(QuestionKind)}, "text": "Is … ?", "answer": "yes" or "no",
   "depends_on": [ids of earlier questions]}}]; the first is whether the main subject is there}}
Annotate what the prompt says, and nothing that it leaves open."""


def ask_model(prompt: Prompt, chat: Chat) -> Prompt:
    """The prompt with the annotations that it lacks and that a model gives; `guessed` names the model. Raises
    `UsageError` where the model gave nothing that can be used."""
    try:
        answer = chat.ask(prompt.text)
    except (Rejected, Unknown) as error:
        raise UsageError(f"{prompt.id}: {chat.model} could not be asked: {error}") from None
    fields = _fields(prompt, answer)
    try:
        return with_guesses(prompt, fields, f"openai-chat:{chat.model}")
    except ValidationError as error:
        raise UsageError(f"{prompt.id}: {chat.model} gave what is no annotation: {explain(error)}") from None


def _fields(prompt: Prompt, answer: str) -> dict[str, object]:
    found = re.search(r"\{.*\}", answer, re.DOTALL)
    try:
        data = json.loads(found[0]) if found else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UsageError(f"{prompt.id}: the answer is no JSON object: {answer!r:.80}")
    found_fields = {
        name: data[name] for name in FIELDS if data.get(name) not in (None, "", [], "null", "none")
    }
    for name, record in (("subjects", Subject), ("questions", Question)):
        if isinstance(rows := found_fields.get(name), list):
            found_fields[name] = [_known(row, record) for row in rows]
    return found_fields


def _known(row: object, record: type[Record]) -> object:
    """An object's fields that a record has, without nulls; answers in lower case."""
    if not isinstance(row, dict):
        return row
    kept = {k: v for k, v in row.items() if k in record.model_fields and v is not None}
    if isinstance(kept.get("answer"), str):
        kept["answer"] = kept["answer"].lower()
    return kept

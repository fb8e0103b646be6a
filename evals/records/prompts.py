"""Prompts and what is known of the scenes they ask for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from evals.records.base import PROMPT_ID, Category, PromptId, Record, Text, digest

QuestionId = Annotated[str, StringConstraints(pattern=PROMPT_ID, max_length=40)]
QuestionKind = Literal["subject", "attribute", "action", "relation", "count", "order", "physics"]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Difficulty = Literal["easy", "medium", "hard"]
Motion = Literal["none", "low", "medium", "high"]
CameraMove = Literal[
    "static",
    "pan",
    "tilt",
    "zoom",
    "dolly",
    "crane",
    "roll",
    "tracking",
    "orbit",
    "handheld",
    "aerial",
    "pov",
]
Law = Literal[
    "gravity", "projectile", "restitution", "rolling", "pendulum", "collision", "friction", "buoyancy",
    "inertia", "rest", "elasticity", "balance", "deformation", "fracture", "fluid", "permanence",
    "continuity", "causality", "light", "heat", "magnetism",
]  # fmt: skip


def _answer(value: Any) -> Any:
    """YAML reads a bare `no` as false."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Subject(Record):
    """One kind of thing in a scene. `metres`: its real size, of a ball the diameter, else the largest extent;
    `height`: where it falls from."""

    kind: Text
    count: Annotated[int, Field(ge=1, le=20)] = 1
    colour: Text | None = None
    size: Literal["small", "medium", "large"] | None = None
    metres: Annotated[float, Field(gt=0, le=1000)] | None = None
    height: Literal["low", "middle", "high"] | None = None
    action: Text | None = None
    target: Text | None = None


class Question(Record):
    """A yes/no question about the video. `depends_on`: questions of the same prompt that must be answered as
    expected before this one can be asked at all; the colour of a dog needs a dog."""

    id: QuestionId | None = None
    kind: QuestionKind | None = None
    text: Text
    answer: Annotated[Literal["yes", "no"], BeforeValidator(_answer)] = "yes"
    depends_on: Annotated[tuple[QuestionId, ...], BeforeValidator(_listed)] = ()


class Prompt(Record):
    """A prompt and what is known of the scene it asks for. Annotations are optional.

    - `text` is English; `translations` says the same in other languages, by code (`de`).
    - `law` is the law of nature to be seen, `must_see` what a lawful video shows, `violated_by` what would
      break it. `counterfactual`: the ordinary outcome would be wrong.
    - `paraphrase_of` names the prompt that asks for the same in other words, `contrast_of` the one that
      differs in one word and asks for something else.
    - `guessed`: fields that nobody wrote or checked, each with what filled it in (`rules`, or a model).
    - Where the text is not known (`text_known`), it is the name of the clip's file, and metrics that read it
      don't apply.
    """

    id: PromptId
    text: Text
    translations: dict[Language, Text] = {}
    category: Category = "uncategorised"
    tags: tuple[Text, ...] = ()
    difficulty: Difficulty | None = None
    subjects: tuple[Subject, ...] = ()
    action: Text | None = None
    place: Text | None = None
    motion: Motion | None = None
    camera: CameraMove | None = None
    cuts: bool | None = None
    law: Law | None = None
    counterfactual: bool | None = None
    must_see: tuple[Text, ...] = ()
    violated_by: tuple[Text, ...] = ()
    paraphrase_of: PromptId | None = None
    contrast_of: PromptId | None = None
    questions: tuple[Question, ...] = ()
    guessed: dict[str, Text] = {}
    text_known: bool = True

    @model_validator(mode="after")
    def _dependable(self) -> Self:
        for name in self.guessed:
            if name not in type(self).model_fields:
                raise ValueError(f"'guessed' names {name!r}, which is no field of a prompt")
        known: set[str] = set()
        for question in self.questions:
            if question.id in known:
                raise ValueError(f"two questions have the id {question.id!r}")
            for other in question.depends_on:
                if other not in known:
                    raise ValueError(f"a question depends on {other!r}, which is no question before it")
            known |= {question.id} if question.id else set()
        return self


class Rules(Record):
    """What `prompts lint` asks of a set beyond what every prompt needs: the least and most words of a text,
    fields that every prompt must have, and languages that every prompt but a paraphrase must be given in."""

    words: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (5, 45)
    requires: tuple[str, ...] = ()
    languages: tuple[Language, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.words[0] > self.words[1]:
            raise ValueError("'words' are the least and the most, in this order")
        for name in self.requires:
            if name not in Prompt.model_fields:
                raise ValueError(f"'requires' names {name!r}, which is no field of a prompt")
        return self


class PromptSet(Record):
    """A named, ordered set of prompts with unique ids. `subsets` lists the ids of smaller selections, `rules`
    are what `prompts lint` asks."""

    name: str
    prompts: tuple[Prompt, ...]
    version: int = 1
    description: str = ""
    licence: str = ""
    rules: Rules = Rules()
    subsets: dict[str, tuple[PromptId, ...]] = {}

    @model_validator(mode="after")
    def _unique(self) -> Self:
        seen: set[str] = set()
        for prompt in self.prompts:
            if prompt.id in seen:
                raise ValueError(f"prompt id {prompt.id!r} occurs twice")
            seen.add(prompt.id)
        for name, ids in self.subsets.items():
            if lost := [i for i in ids if i not in seen]:
                raise ValueError(f"the subset {name!r} names {lost[0]!r}, which is no prompt of the set")
        return self

    @property
    def digest(self) -> str:
        """Hash of all prompts and their annotations, whatever the file looks like."""
        return digest([p.to_json() for p in self.prompts])

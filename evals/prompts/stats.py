"""What a prompt set holds, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evals.records import PromptSet, Record


class Stats(Record):
    """Counts of one set. Counters are ordered from the most to the least; what nobody annotated is counted
    as `unknown`."""

    set: str
    version: int
    digest: str
    prompts: int
    categories: dict[str, int]
    difficulty: dict[str, int]
    motion: dict[str, int]
    camera: dict[str, int]
    laws: dict[str, int]
    questions: dict[str, int]
    expected_no: float | None
    paraphrases: int
    contrasts: int
    counterfactual: int
    languages: dict[str, int]
    subsets: dict[str, int]
    guessed: int
    words: float


def stats(found: PromptSet) -> Stats:
    """The balance of a set."""
    asked = [q for p in found.prompts for q in p.questions]
    return Stats(
        set=found.name,
        version=found.version,
        digest=found.digest,
        prompts=len(found.prompts),
        categories=_counted([p.category for p in found.prompts]),
        difficulty=_counted([p.difficulty for p in found.prompts]),
        motion=_counted([p.motion for p in found.prompts]),
        camera=_counted([p.camera for p in found.prompts]),
        laws=_counted([p.law for p in found.prompts if p.law]),
        questions=_counted([q.kind for q in asked]),
        expected_no=sum(q.answer == "no" for q in asked) / len(asked) if asked else None,
        paraphrases=sum(p.paraphrase_of is not None for p in found.prompts),
        contrasts=sum(p.contrast_of is not None for p in found.prompts),
        counterfactual=sum(bool(p.counterfactual) for p in found.prompts),
        languages=_counted([language for p in found.prompts for language in p.translations]),
        subsets={name: len(ids) for name, ids in found.subsets.items()},
        guessed=sum(bool(p.guessed) for p in found.prompts),
        words=sum(len(p.text.split()) for p in found.prompts) / len(found.prompts) if found.prompts else 0.0,
    )


def _counted(values: Sequence[str | None]) -> dict[str, int]:
    return dict(Counter(value or "unknown" for value in values).most_common())

"""Rules on the balance of a set: no category, level or answer outweighs the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from evals.prompts.lint.finding import Finding, about
from evals.records import Difficulty, PromptSet

ENOUGH = 20  # prompts, from which on a set can be out of balance
SPREAD = 3.0  # a category may have this many times the share of an even spread, or one part in it
LEVEL = (0.1, 0.6)  # the share of one level of difficulty
NO = (0.1, 0.35)  # the share of questions whose expected answer is no


def balanced(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Sets whose categories, difficulties or answers are lopsided."""
    for found in sets:
        n = len(found.prompts)
        if n < ENOUGH:
            continue
        categories = Counter(p.category for p in found.prompts)
        even = n / len(categories)
        for category, count in categories.items():
            if not even / SPREAD <= count <= even * SPREAD:
                message = (
                    f"the category {category!r} has {count} of {n} prompts; an even spread is {even:.0f}"
                )
                yield about("balance", found, None, message)
        levels = Counter(p.difficulty for p in found.prompts if p.difficulty)
        for level in get_args(Difficulty) if levels else ():
            yield from _share(found, f"the difficulty {level!r}", levels[level], n, LEVEL, "prompts")
        answers = Counter(q.answer for p in found.prompts for q in p.questions)
        if answers:
            total = answers.total()
            yield from _share(found, "the expected answer 'no'", answers["no"], total, NO, "questions")


def _share(
    found: PromptSet, what: str, count: int, n: int, limits: tuple[float, float], unit: str
) -> Iterator[Finding]:
    low, high = limits
    if not low <= count / n <= high:
        message = f"{what} has {count} of {n} {unit}; {low:.0%} to {high:.0%} are wanted"
        yield about("balance", found, None, message)

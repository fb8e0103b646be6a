"""`prompts lint`: what is wrong with prompt sets beyond their form.

Every rule is a function from sets to findings; a finding names the prompt, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from evals.prompts.lint import answers, balance, duplicates, form, questions
from evals.prompts.lint.finding import Finding
from evals.records import PromptSet

__all__ = ["RULES", "Finding", "lint"]

RULES: dict[str, Callable[[Sequence[PromptSet]], Iterator[Finding]]] = {
    "id": form.ids,
    "missing": form.missing,
    "length": form.length,
    "praise": form.praise,
    "guessed": form.guessed,
    "variants": form.variants,
    "questions": questions.wording,
    "answers": answers.follow,
    "duplicates": duplicates.near,
    "balance": balance.balanced,
    "subsets": form.subsets,
}


def lint(sets: Sequence[PromptSet], skip: Sequence[str] = ()) -> list[Finding]:
    """All findings, in the order of rules and prompts. Raises `UsageError` where a library is missing."""
    return [finding for name, rule in RULES.items() if name not in skip for finding in rule(sets)]

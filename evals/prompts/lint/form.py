"""Rules on ids, annotations, length, and on prompts that are variants of others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evals import prompts
from evals.prompts.lint.finding import Finding, about
from evals.prompts.subsets import choose
from evals.records import Prompt, PromptSet

LONGEST_ID = 80
ANNOTATIONS = ("tags", "difficulty", "subjects", "action", "place", "motion", "camera", "questions")
PRAISE = re.compile(
    r"\b(beautiful|stunning|breathtaking|majestic|epic|cinematic|award.winning|masterpiece|(photo.?)?realistic"
    r"|high.quality|highly detailed|[48]k|uhd|trending|in the style of)\b",
    re.IGNORECASE,
)
SAME_SCENE = ("subjects", "action", "place", "motion", "camera", "law")
"""Fields in which a paraphrase agrees with the prompt that it says again."""


def ids(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """An id is a readable file name: words with single hyphens, unique over all sets."""
    owner: dict[str, str] = {}
    for found in sets:
        for prompt in found.prompts:
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", prompt.id) or len(prompt.id) > LONGEST_ID:
                message = f"the id is not words with single hyphens, at most {LONGEST_ID} characters"
                yield about("id", found, prompt, message)
            if prompt.id in owner:
                message = f"the id is used in {owner[prompt.id]!r}, too"
                yield about("id", found, prompt, message, prompt.id)
            owner.setdefault(prompt.id, found.name)


def missing(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Annotations that are not there."""
    for found in sets:
        for prompt in found.prompts:
            needed = dict.fromkeys((*ANNOTATIONS, *found.rules.requires))
            lacks = [name for name in needed if getattr(prompt, name) in (None, (), {})]
            if prompt.category == "uncategorised":
                lacks.append("category")
            if not prompt.paraphrase_of:
                lacks += [
                    f"translations: {x}"
                    for x in found.rules.languages
                    if prompt.translations.get(x, prompt.text) == prompt.text
                ]
            if lacks:
                yield about("missing", found, prompt, f"lacks {', '.join(lacks)}")


def length(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Texts that are too short to be concrete, or too long."""
    for found in sets:
        least, most = found.rules.words
        for prompt in found.prompts:
            if not least <= (n := len(prompt.text.split())) <= most:
                yield about("length", found, prompt, f"the text has {n} words; {least} to {most} are wanted")


def praise(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Texts that ask for quality instead of a picture."""
    for found in sets:
        for prompt in found.prompts:
            if said := PRAISE.search(prompt.text):
                yield about("praise", found, prompt, f"{said[0]!r} says nothing that a camera can see")


def guessed(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Annotations that nobody has read yet."""
    for found in sets:
        for prompt in found.prompts:
            if prompt.guessed:
                names = ", ".join(f"{field} ({source})" for field, source in prompt.guessed.items())
                yield about(
                    "guessed", found, prompt, f"guessed: {names}; read them, then take them out of 'guessed'"
                )


def variants(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Paraphrases that ask for another scene, and contrasts that do not differ in exactly one word."""
    known = {prompt.id: prompt for found in sets for prompt in found.prompts}
    for found in sets:
        for prompt in found.prompts:
            if prompt.paraphrase_of and prompt.contrast_of:
                yield about(
                    "variants", found, prompt, "is a paraphrase and a contrast: it can be one of them"
                )
            for field in ("paraphrase_of", "contrast_of"):
                base = getattr(prompt, field)
                if base is not None and (base not in known or base == prompt.id):
                    yield about("variants", found, prompt, f"{field} {base!r} is no other prompt here", base)
                elif field == "paraphrase_of" and base is not None:
                    yield from _paraphrase(found, prompt, known[base])
                elif base is not None and (n := differing(prompt.text, known[base].text)) != 1:
                    message = f"differs from {base!r} in {n} words, not in one"
                    yield about("variants", found, prompt, message, base)


def _paraphrase(found: PromptSet, prompt: Prompt, base: Prompt) -> Iterator[Finding]:
    if base.paraphrase_of:
        message = f"is a paraphrase of {base.id!r}, which is one itself"
        yield about("variants", found, prompt, message, base.id)
    for field in SAME_SCENE:
        if getattr(prompt, field) != getattr(base, field):
            message = f"its {field} is not that of {base.id!r}, which it says in other words"
            yield about("variants", found, prompt, message, base.id)


def differing(one: str, other: str) -> int:
    """In how many words two texts differ, word by word."""
    a, b = ([w.strip(".,;:!?").casefold() for w in text.split()] for text in (one, other))
    return sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))


def subsets(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Subsets of the standard sets that are not those that the rule chooses from all of them."""
    if not {found.name for found in sets} >= set(prompts.builtin_names()):
        return
    for name, chosen in choose(sets).items():
        found = next(one for one in sets if one.name == name)
        for subset, ids in chosen.items():
            listed = set(found.subsets.get(subset, ()))
            if listed != set(ids):
                added, gone = sorted(set(ids) - listed), sorted(listed - set(ids))
                message = f"the rule chooses for {subset!r} also {', '.join(added) or 'nothing'}, and not"
                yield about("subsets", found, None, f"{message} {', '.join(gone) or 'anything less'}")

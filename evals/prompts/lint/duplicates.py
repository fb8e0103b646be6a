"""Rules on near-duplicates: texts that share their words, or their meaning."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.prompts.language import needed
from evals.prompts.lint.finding import Finding, about
from evals.records import Prompt, PromptSet

SHINGLE = 3  # words
SAME_WORDS = 0.6
SAME_MEANING = 0.75
REWORDED = 0.4
"""Most that a paraphrase may share with the words of its prompt."""


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The runs of three words of a text (Broder 1997); of a shorter text the text itself."""
    found = re.findall(r"\w+", text.casefold())
    return frozenset(tuple(found[i : i + SHINGLE]) for i in range(max(1, len(found) - SHINGLE + 1)))


def similarity(one: frozenset[Any], other: frozenset[Any]) -> float:
    """The Jaccard index of two sets, from 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


def alike(one: Sequence[str], other: Sequence[str]) -> dict[tuple[int, int], float]:
    """The pairs of texts, one from each list, whose shingles have a similarity of `SAME_WORDS` or more."""
    sets, others = [shingles(text) for text in one], [shingles(text) for text in other]
    index: dict[tuple[str, ...], list[int]] = {}
    for j, theirs in enumerate(others):
        for run in theirs:
            index.setdefault(run, []).append(j)
    found: dict[tuple[int, int], float] = {}
    for i, mine in enumerate(sets):
        for j in {j for run in mine for j in index.get(run, [])}:
            if (value := similarity(mine, others[j])) >= SAME_WORDS:
                found[i, j] = value
    return found


@functools.cache
def _encoder() -> Any:
    try:
        import wordllama
    except ImportError:
        raise needed("wordllama") from None
    # The package brings its weights; its own search for them would ask the network for the tokenizer.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def embedded(texts: Sequence[str]) -> NDArray[np.float32]:
    """One unit vector for each text (WordLlama, Miller 2024), shape (n, 256). Raises `UsageError` without
    wordllama."""
    return np.asarray(_encoder().embed(list(texts), norm=True), np.float32)


def near(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Prompts that nearly say what an earlier one says and are not marked as its paraphrase or contrast, each
    with the nearest; paraphrases that repeat the words of their prompt."""
    owned = [(found, prompt) for found in sets for prompt in found.prompts]
    texts = [prompt.text for _, prompt in owned]
    if not texts:
        return
    words = alike(texts, texts)
    vectors = embedded(texts)
    meaning = vectors @ vectors.T
    for i, (found, prompt) in enumerate(owned):
        close = {int(j) for j in np.flatnonzero(meaning[i, :i] >= SAME_MEANING)}
        close |= {j for j in range(i) if (j, i) in words}
        close = {j for j in close if not related(prompt, owned[j][1])}
        if close:  # the nearest stands for all
            j = max(close, key=lambda k: (meaning[i, k], -k))
            shared = similarity(shingles(texts[i]), shingles(texts[j]))
            near_to = f"shingles {shared:.2f}, meaning {meaning[i, j]:.2f}"
            message = f"nearly says what {owned[j][1].id!r} says ({near_to})"
            yield about("duplicates", found, prompt, message, owned[j][1].id)
    yield from _repeated(owned)


def _repeated(owned: Sequence[tuple[PromptSet, Prompt]]) -> Iterator[Finding]:
    known = {prompt.id: prompt for _, prompt in owned}
    for found, prompt in owned:
        base = known.get(prompt.paraphrase_of or "")
        if base and (shared := similarity(shingles(prompt.text), shingles(base.text))) > REWORDED:
            message = f"repeats the words of {base.id!r} (shingles {shared:.2f}), instead of using others"
            yield about("duplicates", found, prompt, message, base.id)


def related(one: Prompt, other: Prompt) -> bool:
    """Whether two prompts are variants of each other or of a third one."""
    families = [{p.id, *filter(None, (p.paraphrase_of, p.contrast_of))} for p in (one, other)]
    return bool(families[0] & families[1])


def borrowed(sets: Sequence[PromptSet], other: PromptSet) -> Iterator[Finding]:
    """Prompts that share the words of another suite's."""
    theirs = [prompt.text for prompt in other.prompts]
    for found in sets:
        for (i, j), shared in alike([p.text for p in found.prompts], theirs).items():
            message = f"nearly is {other.name}'s {theirs[j]!r} (shingles {shared:.2f})"
            yield about("duplicates", found, found.prompts[i], message, other.prompts[j].id)

"""The subsets `core` and `mini` of the standard sets, chosen by rule.

A set gets seats in proportion to the square root of its size, by the largest remainders. Its categories take
turns, the largest first; of a category that level of difficulty is taken of which least of the set's share
has been taken so far; among equals the prompt whose id has the smallest SHA-256. Paraphrases and contrasts
are left out. `mini` is chosen in the same way from `core`. So a subset changes little when a prompt is added,
and not at all with the order of a file.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from evals.records import Prompt, PromptSet, digest

SIZES = {"core": 60, "mini": 12}


def choose(sets: Sequence[PromptSet]) -> dict[str, dict[str, tuple[str, ...]]]:
    """By set and subset, the ids chosen, in the sets' order."""
    pool = {found.name: [p for p in found.prompts if not variant(p)] for found in sets}
    chosen: dict[str, dict[str, tuple[str, ...]]] = {found.name: {} for found in sets}
    for subset, size in SIZES.items():
        seats = apportion({name: len(prompts) for name, prompts in pool.items()}, size)
        pool = {name: _stratified(prompts, seats[name]) for name, prompts in pool.items()}
        for found in sets:
            kept = {p.id for p in pool[found.name]}
            chosen[found.name][subset] = tuple(p.id for p in found.prompts if p.id in kept)
    return chosen


def variant(prompt: Prompt) -> bool:
    """Whether a prompt is another's paraphrase or contrast."""
    return prompt.paraphrase_of is not None or prompt.contrast_of is not None


def apportion(sizes: Mapping[str, int], seats: int) -> dict[str, int]:
    """Seats for groups by the square roots of their sizes, by the largest remainders (Hamilton); every group
    that is not empty has one, none more than it has members."""
    weights = {name: math.sqrt(n) for name, n in sizes.items() if n}
    total = sum(weights.values())
    shares = {name: seats * weight / total for name, weight in weights.items()}
    given = {name: min(sizes[name], max(1, math.floor(share))) for name, share in shares.items()}
    for name in sorted(shares, key=lambda n: (given[n] - shares[n], n)):
        if sum(given.values()) >= seats:
            break
        given[name] += given[name] < sizes[name]
    return {name: given.get(name, 0) for name in sizes}


def _stratified(prompts: Sequence[Prompt], seats: int) -> list[Prompt]:
    left: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in sorted(prompts, key=lambda p: digest(p.id)):
        left[prompt.category].append(prompt)
    turns = sorted(left, key=lambda c: (-len(left[c]), c))
    wanted = Counter(p.difficulty for p in prompts)
    taken: list[Prompt] = []
    while len(taken) < min(seats, len(prompts)):
        for category in turns:
            if left[category] and len(taken) < seats:
                had = Counter(p.difficulty for p in taken)
                pick = min(left[category], key=lambda p: had[p.difficulty] / wanted[p.difficulty])
                left[category].remove(pick)
                taken.append(pick)
    return taken

"""Rules on expected answers: they follow from the annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from evals.prompts.language import Word, named, plain, words
from evals.prompts.lint.finding import Finding, about
from evals.records import Prompt, PromptSet, Question

SURROUNDINGS = frozenset({
    "video", "camera", "picture", "scene", "clip", "ground", "floor", "sky", "air", "water", "light", "line",
    "edge", "side", "end", "spot", "top", "bottom",
})  # fmt: skip
"""Words of questions that name what is around the things of a scene."""
THEN = frozenset({"still", "end", "first", "start", "ever", "become", "turn"})
"""Words of questions about a part of the clip: what is annotated may hold at another time."""


def follow(sets: Sequence[PromptSet]) -> Iterator[Finding]:
    """Every subject, colour and count that is asked for with the answer yes is annotated; what should be
    answered with no is not. Colours and counts of the text are annotated."""
    kinds = {plain(s.kind) for found in sets for p in found.prompts for s in p.subjects} - SURROUNDINGS
    for found in sets:
        for prompt in found.prompts:
            if not prompt.subjects:
                continue
            scene = _Scene(prompt)
            for message in (*scene.untold(), *scene.miscounted()):
                yield about("answers", found, prompt, message)
            for question in prompt.questions:
                for message in scene.problems(question, kinds):
                    yield about("answers", found, prompt, f"{message}: {question.text}")


class _Scene:
    """What a prompt's annotations say is there."""

    def __init__(self, prompt: Prompt) -> None:
        self.said, self.text = prompt.text, words(prompt.text)
        around = [s.target for s in prompt.subjects] + [prompt.place]
        self.around = {plain(name) for name in around if name}
        self.counts: Counter[str] = Counter()  # of a kind in all, then what its entries say
        self.groups: dict[str, set[int]] = {}
        self.by_kind: dict[str, set[str]] = {}
        self.sizes: dict[str, set[str]] = {}
        for subject in prompt.subjects:
            kind = plain(subject.kind)
            self.counts[kind] += subject.count
            self.groups.setdefault(kind, set()).add(subject.count)
            self.by_kind.setdefault(kind, set()).add(plain(subject.colour or ""))
            self.sizes.setdefault(kind, set()).update({subject.size} if subject.size else ())
        self.kinds = set(self.counts)
        self.colours = {
            name for names in self.by_kind.values() for colour in names for name in colour.split()
        }

    def untold(self) -> Iterator[str]:
        """Colours that the text gives a subject, and its annotation does not."""
        for i, word in enumerate(self.text):
            nouns = self._nouns(i + 1)
            if not self._is_colour(word) or not nouns or f"{word.text}-" in self.said:
                continue
            n = len(nouns) + 1
            runs = {" ".join(nouns[a:b]) for a in range(n) for b in range(a + 1, n)}
            owners = [kind for kind in self.by_kind if kind in runs]
            if owners and not any(word.colour in self.by_kind[kind] for kind in owners):
                yield f"the text says {word.text!r} of the {owners[0]}, and the annotation does not"

    def miscounted(self) -> Iterator[str]:
        """Counts that the text gives a subject, and no annotation of it does."""
        for i, word in enumerate(self.text):
            nouns = self._nouns(i + 1)
            if not word.number or word.number < 2 or not nouns:
                continue
            runs = {" ".join(nouns[: k + 1]) for k in range(len(nouns))}
            for kind in sorted(runs & self.kinds):
                if word.number not in (*self.groups[kind], self.counts[kind]):
                    yield f"the text says {word.text!r} of the {kind}, and the annotation {self.counts[kind]}"

    def _is_colour(self, word: Word) -> bool:
        """Whether a word is said of a thing: an orange may be one."""
        return word.colour is not None and not word.plural and word.colour not in self.kinds

    def _nouns(self, start: int) -> list[str]:
        """The run of nouns that follows, past adjectives: what a colour before it belongs to."""
        while start < len(self.text) and self.text[start].part == "adjective":
            start += 1
        found = []
        while start < len(self.text) and self.text[start].part == "noun":
            found.append(self.text[start].base)
            start += 1
        return found

    def problems(self, question: Question, kinds: set[str]) -> Iterator[str]:
        asked = words(question.text)
        if question.answer == "yes":
            yield from self._unfounded(question, asked, kinds)
        else:
            yield from self._contradicted(question, asked)

    def _unfounded(self, question: Question, asked: list[Word], kinds: set[str]) -> Iterator[str]:
        known = self.kinds | self.around
        for kind in sorted(named(asked, kinds) - named(self.text, kinds)):
            if kind not in known and not any(kind in k.split() for k in known):
                yield f"asks for {kind!r}, which is not annotated"
        if question.kind == "subject":
            yield from self._unheard(asked)
        if question.kind == "attribute":
            yield from self._missized(asked)
        told = {word.colour for word in self.text}
        for word in asked:
            if not self._is_colour(word):
                continue
            if word.colour not in self.colours:
                yield f"asks for the colour {word.colour!r}, which is not annotated"
            elif word.colour not in told:
                yield f"asks for the colour {word.colour!r}, which the text does not say"
        if question.kind == "count":
            yield from self._uncounted(asked)

    def _uncounted(self, asked: list[Word]) -> Iterator[str]:
        """A count that neither the annotations of what it is of nor the text give."""
        numbers = [w.number for w in asked if w.number]
        if not numbers:
            yield "a question of kind count says a number from one to twenty"
        mine = named(asked, self.kinds) or self.kinds
        possible = {sum(self.counts[kind] for kind in mine)} | {self.counts[kind] for kind in mine}
        possible = possible.union(
            *(self.groups[kind] for kind in mine), {w.number for w in self.text if w.number}
        )
        for number in numbers:
            if number not in possible and not THEN & {w.base for w in asked}:
                yield f"asks for {number}, and {_counted(self.counts)} are annotated"

    def _unheard(self, asked: list[Word]) -> Iterator[str]:
        """A thing that neither the text nor the annotations name."""
        parts = {part for kind in self.kinds | self.around for part in kind.split()}
        nouns = [w.base for w in asked if w.part == "noun" and w.base not in SURROUNDINGS and not w.colour]
        if nouns and not (parts | {w.base for w in self.text}) & set(nouns):
            yield f"asks for {nouns[0]!r}, which is not annotated"

    def _missized(self, asked: list[Word]) -> Iterator[str]:
        """A size that the annotation contradicts."""
        mine = sorted(named(asked, self.kinds))
        if len(mine) != 1 or THEN & {w.base for w in asked}:
            return
        sizes = self.sizes[mine[0]]
        for word in asked:
            if word.base in ("small", "large") and sizes and word.base not in sizes:
                yield f"asks whether the {mine[0]} is {word.base}, which the annotation contradicts"

    def _contradicted(self, question: Question, asked: list[Word]) -> Iterator[str]:
        mine = sorted(named(asked, self.kinds))
        if question.kind == "subject" and mine:
            yield f"expects no, and {mine[0]!r} is annotated"
        if question.kind == "attribute" and len(mine) == 1 and not THEN & {w.base for w in asked}:
            for word in asked:
                if word.colour and self.by_kind[mine[0]] == {word.colour}:
                    yield f"expects no, and the {mine[0]} is annotated {word.colour}"
        if question.kind == "count" and len(mine) == 1:
            for word in asked:
                if word.number == self.counts[mine[0]]:
                    yield f"expects no, and {word.number} are annotated"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} × {kind}" for kind, n in counts.items())

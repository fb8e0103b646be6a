"""What rules can tell of a prompt from its words: subjects with counts, colours and sizes, who does what, the
place, camera and motion, and questions about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.annotate.vocabulary import (
    CAMERA,
    CUTS,
    INDEFINITE,
    MOTION,
    NO_SUBJECT,
    PLACE_AFTER,
    PLACES,
    SIZES,
    STAGE_DIRECTIONS,
)
from evals.prompts.language import NUMERALS, Word, words
from evals.prompts.readers.common import slug
from evals.records import Prompt, Question, Subject

SOURCE = "rules"
MOST = 20  # things of a kind that a record can count
QUESTIONS = 5
LONGEST_NAME = 30  # characters of a kind in a question's id


@dataclass
class _Thing:
    """A noun with what stands before it. `said` is the noun as the text has it."""

    kind: str
    said: str
    start: int
    end: int
    count: int = 1
    counted: bool = False
    plural: bool = False
    colour: str | None = None
    size: str | None = None
    action: str | None = None
    target: str | None = None
    after: str = ""
    absent: bool = False
    is_place: bool = field(default=False)


def guess(prompt: Prompt) -> Prompt:
    """The prompt with the annotations that it lacks and that rules find; `guessed` says which. Raises
    `UsageError` without HanTa."""
    said = words(STAGE_DIRECTIONS.sub(",", prompt.text))
    things = list(_things(said))
    _act(said, things)
    seen = [t for t in things if not t.is_place]
    found: dict[str, Any] = {
        "subjects": tuple(_subject(t) for t in seen),
        "action": next((t.action for t in seen if t.action), None),
        "place": next((t.kind for t in things if t.is_place), None),
        "camera": _first(CAMERA, prompt.text),
        "motion": _motion(said),
        "cuts": True if _first(CUTS, prompt.text) else None,
        "difficulty": _difficulty(seen) if seen else None,
        "questions": tuple(_questions(seen))[:QUESTIONS],
    }
    return with_guesses(prompt, found, SOURCE)


def with_guesses(prompt: Prompt, found: dict[str, Any], source: str) -> Prompt:
    """The prompt with those fields of `found` that it lacks, each marked as guessed by `source`."""
    fields_of = type(prompt).model_fields
    new = {k: v for k, v in found.items() if v and getattr(prompt, k) == fields_of[k].default}
    fields = {**prompt.model_dump(), **new, "guessed": {**prompt.guessed, **dict.fromkeys(new, source)}}
    return Prompt.model_validate(fields)


def _things(said: Sequence[Word]) -> Iterator[_Thing]:
    """Runs of nouns, each with the number, colour and size before it; the last noun of a run is the kind."""
    i = 0
    while i < len(said):
        if said[i].part != "noun" or said[i].colour or _does(said, i):
            i += 1
            continue
        end = i
        while end + 1 < len(said) and said[end + 1].part == "noun" and not _does(said, end + 1):
            end += 1
        head = said[end]
        count = 2 if head.plural else 1
        thing = _Thing(head.base, head.text.lower(), i, end, count, plural=head.plural)
        _describe(said, i, thing)
        if head.base not in NO_SUBJECT and head.base.isalpha() and not thing.absent:
            yield thing
        i = end + 1


def _describe(said: Sequence[Word], start: int, thing: _Thing) -> None:
    """Read the words before a noun, back to the article."""
    numbers: list[int | None] = []
    for k in range(start - 1, max(-1, start - 6), -1):
        word = said[k]
        low = word.text.lower()
        if word.colour and thing.colour is None:
            thing.colour = word.colour
        elif low in SIZES:
            thing.size = SIZES[low]
        elif word.number or low.isdigit():
            numbers.append(word.number)
        elif low in ("no", "without"):
            thing.absent = True
        elif word.base in INDEFINITE:
            thing.count, thing.plural = INDEFINITE[word.base], True
        elif word.part not in ("adjective", "number") and low not in ("a", "an", "the", "of"):
            thing.after = word.base if word.part == "verb" else low
            break
    if numbers:  # "twenty-one" is two of them, and more than a record can count
        thing.counted = len(numbers) == 1 and numbers[0] not in (None, 1)
        thing.count = MOST if len(numbers) > 1 or numbers[0] is None else numbers[0]
        thing.plural = thing.count > 1


def _act(said: Sequence[Word], things: Sequence[_Thing]) -> None:
    """Give things the verb that follows them, and their target or place."""
    for number, thing in enumerate(things):
        stop = things[number + 1].start if number + 1 < len(things) else len(said)
        later = range(thing.end + 1, stop)
        verbs = [said[k].base for k in later if _does(said, k) and said[k].base not in AUXILIARY]
        if verbs and not thing.is_place:
            thing.action = verbs[0]
        if number and thing.after in PLACE_AFTER and thing.kind in PLACES:
            thing.is_place, thing.action = True, None
        elif number and things[number - 1].action and thing.after == things[number - 1].action:
            things[number - 1].target = thing.kind


def _does(said: Sequence[Word], k: int) -> bool:
    """Whether a word is a verb, or a noun after a noun that can be one, as in "a cup fall"."""
    word = said[k]
    after_noun = k > 0 and said[k - 1].part == "noun"
    return word.part == "verb" or (word.part == "noun" and after_noun and word.base in VERBS)


VERBS = frozenset().union(*MOTION.values())
AUXILIARY = frozenset({"be", "have", "do", "seem", "begin", "start", "can", "will", "let", "get"})


def _subject(thing: _Thing) -> Subject:
    return Subject(
        kind=thing.kind,
        count=thing.count,
        colour=thing.colour,
        size=thing.size,
        action=thing.action,
        target=thing.target,
    )


def _motion(said: Sequence[Word]) -> str | None:
    """The liveliest of the verbs that are known."""
    order = list(MOTION)
    found = [level for w in said for level, verbs in MOTION.items() if w.base in verbs]
    return max(found, key=order.index) if found else None


def _first(table: dict[Any, Any], text: str) -> Any:
    """The first entry of a table of patterns that a text matches."""
    return next((name for pattern, name in table.items() if pattern.search(text)), None)


def _difficulty(things: Sequence[_Thing]) -> str:
    many = max(t.count for t in things) > 4
    return "hard" if many or len(things) > 3 else "medium" if len(things) > 1 else "easy"


def _questions(things: Sequence[_Thing]) -> Iterator[Question]:
    """Whether the first things are there, how many, in which colour. What they do is left to people: rules
    don't know how to ask it."""
    kinds = [thing.kind for thing in things]
    used: set[str] = set()
    for thing in things[:2]:
        twins = kinds.count(thing.kind) > 1
        noun = f"{thing.colour} {thing.said}" if twins and thing.colour else thing.said
        name = slug(noun, LONGEST_NAME)
        if not name or name in used:
            continue  # a word without a letter of a-z, or the same again
        used.add(name)
        vowel = noun.startswith(("a", "e", "i", "o", "u")) and not noun.startswith(
            ("uni", "use", "eu", "one")
        )
        start = "Are there" if thing.plural else "Is there an" if vowel else "Is there a"
        yield Question(id=name, kind="subject", text=f"{start} {noun} in the video?")
        if thing.counted:
            text = f"Are there exactly {NUMERALS[thing.count - 1]} {noun}?"
            yield Question(id=f"{name}-count", kind="count", text=text, depends_on=(name,))
        if thing.colour and not twins:
            text = f"{'Are' if thing.plural else 'Is'} the {noun} {thing.colour}?"
            yield Question(id=f"{name}-colour", kind="attribute", text=text, depends_on=(name,))

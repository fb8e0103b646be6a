"""Words of English sentences: their base forms and parts of speech, by HanTa (Wartena 2019); colours and
counts."""

from __future__ import annotations

import functools
import re
from collections.abc import Set
from itertools import product
from typing import Any, Literal, NamedTuple

from evals.errors import UsageError

Part = Literal["noun", "verb", "adjective", "number", "other"]
_PARTS: dict[str, Part] = {"N": "noun", "V": "verb", "A": "adjective", "C": "number"}
_LONGEST_KIND = 3  # words
_LONGEST_WORD = 40  # characters
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[.,;:?!]")
_IRREGULAR = {"people": "person", "leaves": "leaf"}  # what the tagger takes for another word

COLOURS = frozenset({
    "red", "orange", "yellow", "green", "blue", "pink", "brown", "black", "white", "grey", "silver", "golden",
    "purple", "turquoise", "beige",
})  # fmt: skip
SHADES = {"gray": "grey", "gold": "golden", "violet": "purple"}
NUMERALS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(NUMERALS, 1)}


class Word(NamedTuple):
    """A word as it stands, its base form in lower case, and its part of speech."""

    text: str
    base: str
    part: Part
    plural: bool = False

    @property
    def colour(self) -> str | None:
        """The colour it names."""
        name = SHADES.get(self.text.lower(), self.text.lower())
        return name if name in COLOURS else None

    @property
    def number(self) -> int | None:
        """The count it names, from 1 to 20."""
        if self.text.isascii() and self.text.isdigit():
            return int(self.text) if 1 <= int(self.text[:3]) <= 20 else None
        return NUMBERS.get(self.text.lower())


def needed(package: str) -> UsageError:
    """What to install for the tools that read prompts."""
    return UsageError(f"this needs {package}: pip install 't2v-evals[prompts]'")


@functools.cache
def _tagger() -> Any:
    try:
        from HanTa.HanoverTagger import HanoverTagger
    except ImportError:
        raise needed("HanTa") from None
    return HanoverTagger("morphmodel_en.pgz")


def words(text: str) -> list[Word]:
    """The words and punctuation of a text. Hyphens part words. Raises `UsageError` without HanTa."""
    tokens = _TOKEN.findall(text)
    made = []
    short = [token[:_LONGEST_WORD] for token in tokens]  # the tagger takes the square of a word's length
    for token, (_, base, tag) in zip(tokens, _tagger().tag_sent(short) if short else [], strict=True):
        part = "other" if tag.startswith(("AT", "AV", "CJ")) else _PARTS.get(tag[:1], "other")
        plural = tag == "NN2" or token.lower() in _IRREGULAR
        made.append(Word(token, _IRREGULAR.get(token.lower(), base.lower()), part, plural))
    return made


def plain(name: str) -> str:
    """A kind, place or colour as it is said in a sentence: `toy-boat` is "toy boat"."""
    return name.replace("-", " ").lower()


def named(found: list[Word], kinds: Set[str]) -> set[str]:
    """Those of `kinds` (as `plain` has them) that words name by a noun, in the singular or the plural; of
    "tennis ball" and "ball" the longer. A word right after another noun is taken for a verb, as in "does the
    pendulum swing", after "every" for an event, and a colour for a colour."""
    made: set[str] = set()
    taken = 0
    for i, first in enumerate(found):
        before = found[i - 1] if i else None
        if i < taken or (before and (before.part == "noun" or before.base in ("each", "every"))):
            continue
        for length in range(min(_LONGEST_KIND, len(found) - i), 0, -1):
            last = found[i + length - 1]
            if last.part != "noun" or (length == 1 and first.colour and not first.plural):
                continue
            spellings = product(*({w.text.lower(), w.base} for w in found[i : i + length]))
            if hit := {" ".join(spelling) for spelling in spellings} & kinds:
                made |= hit
                taken = i + length
                break
    return made

"""Words of English sentences: their base forms and parts of speech, by HanTa (Wartena 2019); colours and
counts."""

from __future__ import annotations

import functools
import re
from typing import Any, Literal, NamedTuple

from evals.errors import UsageError

Part = Literal["noun", "verb", "adjective", "number", "other"]
_PARTS: dict[str, Part] = {"N": "noun", "V": "verb", "A": "adjective", "C": "number"}
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
    for token, base, tag in _tagger().tag_sent(tokens) if tokens else []:
        part = "other" if tag.startswith(("AT", "AV", "CJ")) else _PARTS.get(tag[:1], "other")
        plural = tag == "NN2" or token.lower() in _IRREGULAR
        made.append(Word(token, _IRREGULAR.get(token.lower(), base.lower()), part, plural))
    return made


def plain(name: str) -> str:
    """A kind, place or colour as it is said in a sentence: `toy-boat` is "toy boat"."""
    return name.replace("-", " ").lower()


def says(found: list[Word], name: str) -> bool:
    """Whether words name a kind of thing by a noun, in the singular or the plural. A word right after another
    noun is taken for a verb, as in "does the pendulum swing", and a colour for a colour."""
    parts = plain(name).split()
    forms = [{w.text.lower(), w.base} for w in found]
    for i in range(len(forms) - len(parts) + 1):
        last, before = found[i + len(parts) - 1], found[i - 1].part if i else "other"
        if last.part != "noun" or before == "noun" or (last.colour and not last.plural):
            continue
        if all(part in forms[i + k] for k, part in enumerate(parts)):
            return True
    return False

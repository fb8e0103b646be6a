"""From a model's words to one of the answers it was offered."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_OBJECT = re.compile(r"\{[^{}]*\}")
THOUGHT = "</think>"


def chosen(text: str, choices: Sequence[str]) -> str | None:
    """The choice that an answer makes: the field `answer` of its one JSON object, or the answer itself where
    it is nothing but a choice. None for anything else: what is not clear is no answer."""
    said = text.rpartition(THOUGHT)[2].strip()
    objects = _OBJECT.findall(said)
    if len(objects) == 1:
        try:
            found = json.loads(objects[0])
        except (ValueError, RecursionError):
            return None
        said = str(found.get("answer", "")) if not isinstance(found.get("answer"), bool) else ""
    word = said.strip().strip("\"'.*").lower()
    return word if word in choices else None

"""Keys that must not be told: known to this process, and kept out of what it records, logs and raises."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from os import environ
from typing import Any
from urllib.parse import quote

SHORTEST = 8  # characters: a shorter text would be found everywhere
HIDDEN = "[key]"
LONGEST, MOST_ITEMS = 8000, 1000  # characters and entries of what others gave us
_NAMES = re.compile(r"(_|^)(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$", re.IGNORECASE)
_known: set[str] = set()


def remember(secret: str) -> None:
    """Keep a key out of everything from now on."""
    if len(secret) >= SHORTEST and secret not in _known:
        _known.add(secret)
        _pattern.cache_clear()


def without_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables less those that hold keys, by their names or values."""
    return {k: v for k, v in variables.items() if not _NAMES.search(k) and v not in _known}


def redacted(value: Any) -> Any:
    """Texts, and lists and mappings of them, with every known key replaced."""
    if isinstance(value, str):
        pattern = _pattern()
        return pattern.sub(HIDDEN, value) if pattern else value
    if isinstance(value, dict):
        return {redacted(k): redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(v) for v in value]
    return value


def recordable(value: Any) -> Any:
    """What others gave us, so that any of it can stand in a journal: API keys and half characters are
    replaced, numbers that are none become text, keys are text, and what is very long is cut."""
    if isinstance(value, str):
        value = redacted(value)
        cut = value if len(value) <= LONGEST else f"{value[:LONGEST]}… ({len(value):,} characters)"
        return cut.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {recordable(str(k)): recordable(v) for k, v in islice(value.items(), MOST_ITEMS)}
    if isinstance(value, list | tuple):
        return [recordable(v) for v in value[:MOST_ITEMS]]
    if isinstance(value, int) and value.bit_length() > 256:
        return recordable(hex(value))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float | bool | None) else recordable(str(value))


@cache
def _pattern() -> re.Pattern[str] | None:
    """Every known key in every form; those of the environment are known by their names."""
    keys = {v for k, v in environ.items() if _NAMES.search(k) and len(v) >= SHORTEST} | _known
    forms = {form for key in keys for form in _forms(key)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None


def _forms(key: str) -> Iterator[str]:
    """A key as it is, and as it stands in an address, in JSON, in HTML and in base64."""
    yield key
    for safe in ("", "/"):
        quoted = quote(key, safe=safe)
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)
    yield json.dumps(key)[1:-1]
    yield json.dumps(key)[1:-1].replace("/", "\\/")
    yield html.escape(key)
    yield base64.b64encode(key.encode("utf-8", "replace")).decode().rstrip("=")

"""Keys that must not be told: known to this process, and kept out of what it records, logs and raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from os import environ
from typing import Any
from urllib.parse import quote

SHORTEST = 8  # characters: a shorter text would be found everywhere
HIDDEN = "[key]"
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


@cache
def _pattern() -> re.Pattern[str] | None:
    """Every known key, as it is and as it stands in an address; those of the environment by their names."""
    keys = {v for k, v in environ.items() if _NAMES.search(k) and len(v) >= SHORTEST} | _known
    forms = {form for key in keys for form in (key, quote(key, safe=""))}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None

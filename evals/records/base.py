"""What all records are made of: frozen, validated, with one hash."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

SCHEMA = 3
ALL = "all"  # the tables' word for every category

PROMPT_ID = r"^[a-z0-9-]+$"
PromptId = Annotated[str, StringConstraints(pattern=PROMPT_ID, max_length=120)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(lambda x: _writable(x))
]
Category = Annotated[Text, AfterValidator(lambda x: _category(x))]


def digest(value: Any) -> str:
    """32 hex digits of SHA-256 over canonical JSON; NaN and unknown types are errors, never text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_regular(path: Path) -> bool:
    """Whether there is a plain file: a pipe or device would never end, and an odd path is no error here."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits: the identity of a video or weight file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _writable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate), which no file can") from None
    return value


def _category(value: str) -> str:
    if value == ALL:
        raise ValueError("'all' is the tables' word for every category; use another")
    return value


class Record(BaseModel):
    """Base of all records: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready fields; those at their default are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Spec(Record):
    """The identity of a component: its name, the version of its numbers and its parameters."""

    name: str
    version: int = 1
    params: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        return digest([self.name, self.version, self.params])


def _short(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"


def explain(error: ValidationError) -> str:
    """A validation error as one readable line."""
    parts = []
    for item in error.errors():
        where = ".".join(str(x) for x in item["loc"])
        message = re.sub(r"^(Value|Assertion) error, ", "", item["msg"])
        if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] == PROMPT_ID:
            message = "only a-z, 0-9 and '-' are allowed, since files are named after it"
        got = "" if item["type"] in ("missing", "value_error") else f" (got {_short(item['input'])})"
        parts.append(f"{where}: {message}{got}" if where else f"{message}{got}")
    return "; ".join(parts)

"""What readers of prompt sets share: texts, ids, records and their errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from evals.errors import PromptError
from evals.prompts.document import MAX_FILE_BYTES
from evals.records import ALL, Prompt, PromptSet, digest, explain

LONGEST_NAME = 100  # characters of a file's name that ids and categories keep
LONGEST_SLUG = 60  # characters of a prompt's words in its id


def text_of(path: Path) -> str:
    """A file's text, without a byte order mark. Raises `PromptError`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PromptError(f"larger than {MAX_FILE_BYTES:,} bytes", path)
        data = path.read_bytes()
    except OSError as error:
        raise PromptError(f"cannot be read: {error.strerror}", path) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PromptError(f"not UTF-8 text ({error.reason})", path, line) from None


def json_of(text: str, path: Path, line: int | None = None) -> Any:
    """JSON data; `line` where the text is one line of a file. Raises `PromptError`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PromptError(f"not valid JSON: {error.msg}", path, line or error.lineno) from None
    except RecursionError:
        raise PromptError("not valid JSON: nested too deeply", path, line) from None
    except ValueError:
        raise PromptError("not valid JSON: holds a number of thousands of digits", path, line) from None


class Entry(NamedTuple):
    """A value of a JSON file's array or object, with its line and, in an object, its key."""

    line: int
    key: str
    value: Any


def entries_of(text: str, path: Path) -> list[Entry]:
    """The values of a JSON array or object. Raises `PromptError`."""
    if not isinstance(json_of(text, path), list | dict):
        raise PromptError("holds no list of prompts", path)
    decode, space = json.JSONDecoder().raw_decode, re.compile(r"[ \t\r\n]*")

    def skip(at: int) -> int:
        found = space.match(text, at)
        return found.end() if found else at

    made: list[Entry] = []
    at, line, counted = skip(0), 1, 0
    named = text[at] == "{"
    at = skip(at + 1)
    while text[at] not in "]}":
        key = ""
        if named:
            key, at = decode(text, at)
            at = skip(skip(at) + 1)  # past the colon
        line, counted = line + text.count("\n", counted, at), at
        value, at = decode(text, at)
        made.append(Entry(line, key, value))
        at = skip(at)
        if text[at] == ",":
            at = skip(at + 1)
    return made


def encodable(text: str) -> bool:
    """Whether a file can hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def words_of(value: Any, path: Path, where: str, line: int | None = None) -> str:
    """A prompt's words without the space around them. Raises `PromptError` for anything else than a text."""
    if not isinstance(value, str) or not value.strip():
        raise PromptError(f"{where}needs its words, as a text", path, line)
    if not encodable(value):
        raise PromptError(f"{where}holds half a character (a lone surrogate)", path, line)
    return value.strip()


def slug(text: str, longest: int = LONGEST_SLUG) -> str:
    """A text's words as a part of a file's name; empty where none of them has a letter of a-z or a digit."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")


def id_of(text: str) -> str:
    """Readable, and one text's own: prompts may differ in case alone."""
    return f"{slug(text)}-{digest(text)[:6]}"


def category_of(path: Path) -> str:
    """A file's name as the category of its prompts."""
    name = path.stem.strip()[:LONGEST_NAME] or "prompts"
    return "all prompts" if name == ALL else name


def prompt(fields: Mapping[str, Any], path: Path, where: str = "", line: int | None = None) -> Prompt:
    """A prompt's record. Raises `PromptError`."""
    try:
        return Prompt.model_validate(dict(fields))
    except ValidationError as error:
        raise PromptError(": ".join(filter(None, (where, explain(error)))), path, line) from None


def prompt_set(name: str, prompts: Iterable[Prompt], path: Path, licence: str = "") -> PromptSet:
    """A set. Raises `PromptError` where it is empty or an id occurs twice."""
    made = tuple(prompts)
    if not made:
        raise PromptError("holds no prompts", path)
    try:
        return PromptSet(name=name, prompts=made, licence=licence)
    except ValidationError as error:
        raise PromptError(explain(error), path) from None


def listed(name: str, found: Iterable[tuple[int, Mapping[str, Any]]], path: Path) -> PromptSet:
    """A set from lines with their prompts' fields: `text` or `prompt`, perhaps `id` and others. A text or id
    that was there before, in whatever case, is an error, as in a YAML file. Raises `PromptError`."""
    made: list[Prompt] = []
    before: dict[tuple[str, str], int] = {}
    for line, given in found:
        fields = {k: v for k, v in given.items() if v not in (None, "")}
        if "prompt" in fields:
            fields["text"] = fields.pop("prompt")
        if "text" not in fields:
            raise PromptError("a prompt needs its words: 'prompt' or 'text'", path, line)
        text = words_of(fields["text"], path, "a prompt ", line)
        made.append(prompt({"id": id_of(text), **fields}, path, "", line))
        for kind, value in (("id", made[-1].id), ("text", made[-1].text.casefold())):
            if (kind, value) in before:
                raise PromptError(
                    f"{kind} {value!r:.80} was used before, on line {before[kind, value]}", path, line
                )
            before[kind, value] = line
    return prompt_set(name, made, path)

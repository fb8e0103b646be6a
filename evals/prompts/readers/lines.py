"""Prompt sets with a prompt on every line: plain text, EvalCrafter's and T2V-CompBench's lists, JSON lines,
and FETV's `fetv_data.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.errors import PromptError
from evals.prompts.readers.common import (
    LONGEST_NAME,
    category_of,
    id_of,
    json_of,
    listed,
    prompt,
    prompt_set,
    slug,
    text_of,
    words_of,
)
from evals.records import Prompt, PromptSet

EVALCRAFTER = "evalcrafter"
FETV_DIFFICULTY = {"simple": "easy", "medium": "medium", "complex": "hard"}


def lines(path: Path) -> PromptSet:
    """A text file with a prompt on every line, as T2V-CompBench has them (`prompts/7_numeracy.txt`); ids come
    from the words, so that lines may move, and the category is the file's name. A line ends with a line feed,
    with or without a carriage return before it, and with nothing else. EvalCrafter's list, a file whose name
    begins with `evalcrafter`, may repeat a prompt. Raises `PromptError`."""
    found = [(n, text.strip()) for n, text in enumerate(text_of(path).split("\n"), 1) if text.strip()]
    if path.stem.lower().startswith(EVALCRAFTER):
        return evalcrafter(path, found)
    category = category_of(path)
    made = ((n, {"id": id_of(text), "text": text, "category": category}) for n, text in found)
    return listed(slug(path.stem, LONGEST_NAME) or "prompts", made, path)


def evalcrafter(
    path: Path, texts: Sequence[tuple[int, Any]], asked: list[list[str]] | None = None
) -> PromptSet:
    """EvalCrafter's prompts (Liu et al. 2024) with their lines, in its order. Its clips are numbered, and it
    repeats some of the prompts, so an id begins with the number: `0005-a-peaceful-cow`. `asked`: the
    attributes that it checks in each, as tags (`evalcrafter:count`). Raises `PromptError`."""
    made = []
    for number, (line, text) in enumerate(texts):
        where = f"prompt {number:04d} "
        words = words_of(text, path, where, line)
        tags = tuple(f"{EVALCRAFTER}:{name}" for name in (asked[number] if asked else []))
        fields = {"id": f"{number:04d}-{slug(words)}".strip("-"), "text": words, "tags": tags}
        made.append(
            prompt({**fields, "category": tags[0].split(":")[1] if tags else "other"}, path, "", line)
        )
    return prompt_set(EVALCRAFTER, made, path)


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file's lines with their lines' numbers. Raises `PromptError`."""
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        data = json_of(line, path, number)
        if not isinstance(data, dict):
            raise PromptError(
                'a line is an object with \'prompt\', such as {"prompt": "a dog"}', path, number
            )
        yield number, data


def json_lines(path: Path) -> PromptSet:
    """A JSON object on every line: FETV's, or with `prompt` or `text` and perhaps `id` and any other field of
    a prompt. Raises `PromptError`."""
    found = list(objects(path))
    if found and "prompt complexity" in found[0][1]:
        return fetv(path, found)
    return listed(path.stem, found, path)


def fetv(path: Path, found: list[tuple[int, dict[str, Any]]]) -> PromptSet:
    """FETV's `fetv_data.json` (Liu et al. 2023), which is JSON lines: `fetv-{number}`, from 0 on, is the
    number of its clips. What it controls, else its first temporal content, is the category; all contents and
    attributes are tags (`fetv:quantity`). Raises `PromptError`."""
    made: list[Prompt] = []
    for place, (line, data) in enumerate(found):
        content = _labels(data, "major content", path, line)
        controlled = _labels(data, "attribute control", path, line)
        levels = data.get("prompt complexity")
        if not isinstance(levels, list) or not levels or str(levels[0]) not in FETV_DIFFICULTY:
            raise PromptError(
                f"'prompt complexity' is a list of one of {', '.join(FETV_DIFFICULTY)}", path, line
            )
        names = [name.replace(" ", "_") for name in (*controlled, *content)]
        temporal = data["major content"].get("temporal") or content or ["other"]
        fields = {
            "id": f"fetv-{place}",
            "text": words_of(data.get("prompt"), path, "'prompt' ", line),
            "category": (controlled or temporal)[0].replace(" ", "_"),
            "tags": tuple(f"fetv:{name}" for name in dict.fromkeys(names)),
            "difficulty": FETV_DIFFICULTY[levels[0]],
        }
        made.append(prompt(fields, path, "", line))
    return prompt_set("fetv", made, path, "CC-BY-4.0")


def _labels(data: dict[str, Any], key: str, path: Path, line: int) -> list[str]:
    parts = data.get(key)
    if not isinstance(parts, dict):
        raise PromptError(f"lacks {key!r}, an object with 'spatial' and 'temporal'", path, line)
    sides = [parts.get(side) or [] for side in ("temporal", "spatial")]
    if not all(isinstance(side, list) for side in sides):
        raise PromptError(f"'temporal' and 'spatial' of {key!r} are lists, or null", path, line)
    found = [x for side in sides for x in side]
    if not all(isinstance(x, str) and x.strip() for x in found):
        raise PromptError(f"{key!r} holds something that is no text", path, line)
    return found

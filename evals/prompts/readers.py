"""Prompt sets in the formats of other suites."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evals.errors import PromptError
from evals.prompts.document import MAX_FILE_BYTES
from evals.records import ALL, Prompt, PromptSet, digest, explain

VBENCH_TAG = "vbench:"
LONGEST_NAME = 100  # characters of a file's name that ids and categories keep


def vbench(path: Path, entries: list[Any]) -> PromptSet:
    """VBench's `VBench_full_info.json` (Huang et al. 2024): a prompt's dimensions become its tags
    (`vbench:scene`), the first of them its category. Of equal texts one prompt is made, with the dimensions
    of all. Raises `PromptError`."""
    dimensions: dict[str, list[str]] = {}
    for number, entry in enumerate(entries, 1):
        text, found = (entry.get(k) if isinstance(entry, dict) else None for k in ("prompt_en", "dimension"))
        if not isinstance(text, str) or not isinstance(found, list):
            raise PromptError(f"entry {number} lacks 'prompt_en' (a text) or 'dimension' (a list)", path)
        if not text.strip() or not found or not all(isinstance(d, str) and d.strip() for d in found):
            raise PromptError(f"entry {number} is empty, or has a dimension that is no text", path)
        if not encodable(text):
            raise PromptError(f"entry {number} holds half a character (a lone surrogate)", path)
        dimensions.setdefault(text.strip(), []).extend(found)
    prompts = []
    for number, (text, found) in enumerate(dimensions.items(), 1):
        tags = tuple(VBENCH_TAG + d for d in dict.fromkeys(found))
        fields = {"id": _id(text), "text": text, "category": found[0], "tags": tags}
        prompts.append(_prompt(fields, path, f"prompt {number}"))
    return _set("vbench", prompts, path, "Apache-2.0")


def lines(path: Path) -> PromptSet:
    """A text file with a prompt on every line, as EvalCrafter and T2V-CompBench have them; ids come from the
    words, so that lines may move, and the category is the file's name. A line ends with a line feed, with or
    without a carriage return before it, and with nothing else. Raises `PromptError`."""
    texts = [line.strip() for line in _text(path).split("\n")]
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:LONGEST_NAME] or "prompts"
    category = path.stem.strip()[:LONGEST_NAME] or name
    made = []
    for number, text in enumerate(texts, 1):
        if text:
            fields = {"id": _id(text), "text": text}
            fields["category"] = "all prompts" if category == ALL else category
            made.append((number, fields))
    return listed(name, made, path)


def listed(name: str, found: Iterable[tuple[int, Mapping[str, Any]]], path: Path) -> PromptSet:
    """A set from lines with their prompts' fields: `text` or `prompt`, perhaps `id` and others. A text or id
    that was there before, in whatever case, is an error, as in a YAML file. Raises `PromptError`."""
    made: list[Prompt] = []
    before: dict[tuple[str, str], int] = {}
    for line, fields in found:
        fields = {k: v for k, v in fields.items() if v not in (None, "")}
        if "prompt" in fields:
            fields["text"] = fields.pop("prompt")
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            raise PromptError("a prompt needs its words: 'prompt' or 'text'", path, line)
        if not encodable(text):
            raise PromptError("holds half a character (a lone surrogate)", path, line)
        made.append(_prompt({"id": _id(text.strip()), **fields}, path, "", line))
        for kind, value in (("id", made[-1].id), ("text", made[-1].text.casefold())):
            if (kind, value) in before:
                raise PromptError(
                    f"{kind} {value!r:.80} was used before, on line {before[kind, value]}", path, line
                )
            before[kind, value] = line
    if not made:
        raise PromptError("holds no prompts", path)
    return _set(name, made, path)


def encodable(text: str) -> bool:
    """Whether a file can hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_lines(path: Path) -> PromptSet:
    """A JSON object on every line, with `prompt` or `text` and perhaps `id` and any other field of a prompt.
    Raises `PromptError`."""
    found = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PromptError(f"not valid JSON: {error}", path, number) from None
        if not isinstance(data, dict):
            raise PromptError(
                'a line is an object with \'prompt\', such as {"prompt": "a dog"}', path, number
            )
        found.append((number, data))
    return listed(path.stem, found, path)


def table(path: Path) -> PromptSet:
    """A CSV file: Physics-IQ's `descriptions.csv`, or one with the column `prompt` (or `text`) and perhaps
    `id` and `category`. Raises `PromptError`."""
    text = _text(path)
    header = next(csv.reader(io.StringIO(text, newline="")), [])
    if not {"prompt", "text"} & set(header):
        return physics_iq(path)
    csv.field_size_limit(MAX_FILE_BYTES)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = ("id", "prompt", "text", "category")
    found = []
    try:
        for row in reader:
            found.append((reader.line_num, {k: row[k] for k in columns if row.get(k)}))
    except csv.Error as error:
        raise PromptError(f"not valid CSV: {error}", path, reader.line_num) from None
    return listed(path.stem, found, path)


def physics_iq(path: Path) -> PromptSet:
    """Physics-IQ's `descriptions.csv`: one prompt per generated video; ids are the videos' names. Raises
    `PromptError`."""
    csv.field_size_limit(MAX_FILE_BYTES)
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    made: dict[str, Prompt] = {}
    try:
        header = reader.fieldnames or []
        if lacks := [c for c in ("description", "generated_video_name") if c not in header]:
            raise PromptError(
                f"the header lacks {' and '.join(map(repr, lacks))} (columns are separated by commas); it has"
                f" {', '.join(map(repr, header)) or 'nothing'!s:.200}",
                path, 1,
            )  # fmt: skip
        for row in reader:
            number, video, text = reader.line_num, row["generated_video_name"], row["description"]
            if not video or not text:
                raise PromptError("a row needs 'description' and 'generated_video_name'", path, number)
            if "_take-2_" in (row.get("scenario") or ""):
                continue  # a second take of the same: there to measure how much takes differ
            name = re.sub(r"[^a-z0-9]+", "-", Path(video).stem.lower()).strip("-")
            if name in made and made[name].text != text.strip():
                raise PromptError(
                    f"two videos would be called {name!r}, with different descriptions", path, number
                )
            fields = {"id": name, "text": text, "category": (row.get("category") or "physics").strip()}
            made[name] = _prompt(fields, path, "", number)
    except csv.Error as error:
        raise PromptError(f"not valid CSV: {error}", path, reader.line_num) from None
    if not made:
        raise PromptError("holds no prompts", path)
    return _set("physics-iq", list(made.values()), path, "CC-BY-4.0")


def _text(path: Path) -> str:
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


def _prompt(fields: dict[str, Any], path: Path, where: str, line: int | None = None) -> Prompt:
    try:
        return Prompt.model_validate(fields)
    except ValidationError as error:
        raise PromptError(": ".join(filter(None, (where, explain(error)))), path, line) from None


def _set(name: str, prompts: list[Prompt], path: Path, licence: str = "") -> PromptSet:
    try:
        return PromptSet(name=name, prompts=tuple(prompts), licence=licence)
    except ValidationError as error:
        raise PromptError(explain(error), path) from None


def read_other(path: Path) -> PromptSet | None:
    """A set in another suite's format, by the file's ending; None for our own YAML."""
    known = {".json": read_json, ".jsonl": json_lines, ".txt": lines, ".csv": table}
    return known[path.suffix](path) if path.suffix in known else None


def _id(text: str) -> str:
    """Readable, and one text's own: prompts may differ in case alone."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
    return f"{words}-{digest(text)[:6]}"


def read_json(path: Path) -> PromptSet:
    """A prompt set from a JSON file of another suite, by what it holds. Raises `PromptError`."""
    text = _text(path)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise PromptError(f"not valid JSON: {error.msg}", path, error.lineno) from None
    except RecursionError:
        raise PromptError("not valid JSON: nested too deeply", path) from None
    except ValueError:
        raise PromptError("not valid JSON: holds a number of thousands of digits", path) from None
    if isinstance(data, list) and data and isinstance(data[0], dict) and "prompt_en" in data[0]:
        return vbench(path, data)
    raise PromptError("is no prompt set that is known here; VBench_full_info.json is", path)

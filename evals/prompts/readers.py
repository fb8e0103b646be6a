"""Prompt sets in the formats of other suites."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from evals.errors import PromptError
from evals.records import Prompt, PromptSet, digest

VBENCH_TAG = "vbench:"


def vbench(path: Path, entries: list[Any]) -> PromptSet:
    """VBench's `VBench_full_info.json` (Huang et al. 2024): a prompt's dimensions become its tags
    (`vbench:scene`), the first of them its category. Of equal texts one prompt is made, with the dimensions
    of all. Raises `PromptError`."""
    dimensions: dict[str, list[str]] = {}
    for number, entry in enumerate(entries, 1):
        try:
            text, found = entry["prompt_en"].strip(), [str(d) for d in entry["dimension"]]
        except (KeyError, TypeError, AttributeError):
            raise PromptError(f"entry {number} lacks 'prompt_en' or 'dimension'", path) from None
        if not text or not found:
            raise PromptError(f"entry {number} is empty", path)
        dimensions.setdefault(text, []).extend(found)
    prompts = []
    for text, found in dimensions.items():
        tags = tuple(VBENCH_TAG + d for d in dict.fromkeys(found))
        prompts.append(Prompt(id=_id(text), text=text, category=found[0], tags=tags))
    return PromptSet(name="vbench", prompts=tuple(prompts), licence="Apache-2.0")


def lines(path: Path) -> PromptSet:
    """A text file with a prompt on every line, as EvalCrafter and T2V-CompBench have them; ids are
    `FILE-0001` …, the category is the file's name. A line ends with a line feed, with or without a carriage
    return before it, and with nothing else. Raises `PromptError`."""
    try:
        texts = [line.strip() for line in path.read_bytes().decode("utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"cannot be read: {error}", path) from None
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "prompts"
    made = []
    for number, text in enumerate(texts, 1):
        if text:
            made.append(Prompt(id=f"{name}-{number:04d}", text=text, category=path.stem))
    if not made:
        raise PromptError("holds no prompts", path)
    return PromptSet(name=name, prompts=tuple(made))


def physics_iq(path: Path) -> PromptSet:
    """Physics-IQ's `descriptions.csv`: one prompt per generated video; ids are the videos' names. Raises
    `PromptError`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PromptError(f"cannot be read: {error}", path) from None
    made: dict[str, Prompt] = {}
    for number, row in enumerate(rows, 2):
        video, text = row.get("generated_video_name"), row.get("description")
        if not video or not text:
            raise PromptError("a row needs 'description' and 'generated_video_name'", path, number)
        if "_take-2_" in (row.get("scenario") or ""):
            continue  # a second take of the same: there to measure how much takes differ
        name = re.sub(r"[^a-z0-9]+", "-", Path(video).stem.lower()).strip("-")
        made[name] = Prompt(id=name, text=text.strip(), category=(row.get("category") or "physics").strip())
    if not made:
        raise PromptError("holds no prompts", path)
    return PromptSet(name="physics-iq", prompts=tuple(made.values()), licence="CC-BY-4.0")


def read_other(path: Path) -> PromptSet | None:
    """A set in another suite's format, by the file's ending; None for our own YAML."""
    known = {".json": read_json, ".txt": lines, ".csv": physics_iq}
    return known[path.suffix](path) if path.suffix in known else None


def _id(text: str) -> str:
    """Readable, and one text's own: prompts may differ in case alone."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
    return f"{words}-{digest(text)[:6]}"


def read_json(path: Path) -> PromptSet:
    """A prompt set from a JSON file of another suite, by what it holds. Raises `PromptError`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PromptError(f"cannot be read: {error.strerror}", path) from None
    except (ValueError, RecursionError) as error:
        raise PromptError(f"not valid JSON: {error}", path) from None
    if isinstance(data, list) and data and isinstance(data[0], dict) and "prompt_en" in data[0]:
        return vbench(path, data)
    raise PromptError("is no prompt set that is known here; VBench_full_info.json is", path)

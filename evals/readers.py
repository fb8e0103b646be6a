"""Prompt sets in the formats of other suites."""

from __future__ import annotations

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

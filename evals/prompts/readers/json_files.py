"""Prompt sets in JSON: VBench's, VBench-2.0's, EvalCrafter's and T2V-CompBench's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.errors import PromptError
from evals.prompts.readers.common import (
    Entry,
    category_of,
    entries_of,
    id_of,
    listed,
    prompt,
    prompt_set,
    text_of,
    words_of,
)
from evals.prompts.readers.lines import evalcrafter, json_lines
from evals.records import PromptSet

VBENCH_TAG, VBENCH2_TAG = "vbench:", "vbench2:"
VBENCH2_DIMENSIONS = frozenset({
    "Camera_Motion", "Complex_Landscape", "Complex_Plot", "Composition", "Diversity", "Dynamic_Attribute",
    "Dynamic_Spatial_Relationship", "Human_Anatomy", "Human_Clothes", "Human_Identity", "Human_Interaction",
    "Instance_Preservation", "Material", "Mechanics", "Motion_Order_Understanding", "Motion_Rationality",
    "Multi-View_Consistency", "Thermotics",
})  # fmt: skip
MOST_OF_A_KIND = 20


def read_json(path: Path) -> PromptSet:
    """A prompt set from a JSON file of another suite, by what it holds. Raises `PromptError`."""
    text = text_of(path)
    first = text.lstrip().partition("\n")[0]
    if first.startswith("{") and '"prompt complexity"' in first:
        return json_lines(path)
    entries = entries_of(text, path)
    some = entries[0].value if entries else None
    if isinstance(some, dict) and "prompt_en" in some:
        return vbench(path, entries)
    if isinstance(some, dict) and "caption" in some and "dimension" in some:
        return vbench(path, entries, "caption")
    if isinstance(some, dict) and "prompt" in some:
        return _evalcrafter(path, entries) if entries[0].key else compbench(path, entries)
    raise PromptError(
        "is no prompt set that is known here; those of VBench, VBench-2.0, EvalCrafter, T2V-CompBench and"
        " FETV are",
        path,
    )


def vbench(path: Path, entries: list[Entry], key: str = "prompt_en") -> PromptSet:
    """VBench's `VBench_full_info.json` (Huang et al. 2024) or VBench-2.0's `VBench2_full_info.json` (Zheng et
    al. 2025; its `VBench2_full_text_info.json` has the words under the key `caption`): a prompt's dimensions
    become its tags (`vbench:scene`, `vbench2:Mechanics`), the first of them its category. Of equal texts one
    prompt is made, with the dimensions of all. VBench-2.0's questions are left out: the file does not say how
    they should be answered. Raises `PromptError`."""
    dimensions: dict[str, list[str]] = {}
    for line, _, entry in entries:
        text, found = (entry.get(k) if isinstance(entry, dict) else None for k in (key, "dimension"))
        found = [found] if isinstance(found, str) else found
        if not isinstance(text, str) or not isinstance(found, list):
            raise PromptError(f"an entry lacks {key!r} (a text) or 'dimension' (a list)", path, line)
        if not found or not all(isinstance(d, str) and d.strip() for d in found):
            raise PromptError("an entry has no dimension, or one that is no text", path, line)
        dimensions.setdefault(words_of(text, path, "an entry ", line), []).extend(found)
    second = all(VBENCH2_DIMENSIONS.issuperset(found) for found in dimensions.values())
    tag = VBENCH2_TAG if second else VBENCH_TAG
    prompts = []
    for text, found in dimensions.items():
        tags = tuple(tag + d for d in dict.fromkeys(found))
        fields = {"id": id_of(text), "text": text, "category": found[0], "tags": tags}
        prompts.append(prompt(fields, path, f"the prompt {text!r:.60}"))
    return prompt_set("vbench2" if second else "vbench", prompts, path, "Apache-2.0")


def compbench(path: Path, entries: list[Entry]) -> PromptSet:
    """A file of T2V-CompBench's `meta_data` (Sun et al. 2025): the file's name is the category. `object_1`
    and `object_2`, or `objects` with `numbers`, become subjects. Raises `PromptError`."""
    found = []
    for line, _, entry in entries:
        if not isinstance(entry, dict):
            raise PromptError("an entry is no object with 'prompt'", path, line)
        text = words_of(entry.get("prompt"), path, "'prompt' ", line)
        fields = {"text": text, "category": category_of(path), "subjects": _subjects(entry, line, path)}
        found.append((line, fields))
    return listed(f"t2v-compbench-{category_of(path)}", found, path)


def _subjects(entry: dict[str, Any], line: int, path: Path) -> list[dict[str, Any]]:
    """The things that an entry names, each with its count where that is known and not too large."""
    if isinstance(entry.get("objects"), str) and isinstance(entry.get("numbers"), str):
        kinds, counts = (
            [part.strip() for part in entry[key].split(",") if part.strip()] for key in ("objects", "numbers")
        )
        if len(kinds) != len(counts) or not all(c.isascii() and c.isdigit() for c in counts):
            raise PromptError("'objects' and 'numbers' do not belong together", path, line)
        return [
            {"kind": kind, "count": int(count)}
            for kind, count in zip(kinds, counts, strict=True)
            if 1 <= int(count[:4]) <= MOST_OF_A_KIND
        ]
    named = [entry.get(key) for key in ("object_1", "object_2")]
    return [{"kind": kind.strip()} for kind in named if isinstance(kind, str) and kind.strip()]


def _evalcrafter(path: Path, entries: list[Entry]) -> PromptSet:
    """EvalCrafter's `metadata.json`: `{"0000": {"prompt": …, "attributes": {"count": …}}}`."""
    texts, asked = [], []
    for place, (line, number, entry) in enumerate(entries):
        if number != f"{place:04d}":
            raise PromptError(f"the prompt {number!r:.20} stands where '{place:04d}' should", path, line)
        attributes = entry.get("attributes", {}) if isinstance(entry, dict) else None
        if not isinstance(attributes, dict):
            raise PromptError(f"prompt {number} is no object with 'prompt' and 'attributes'", path, line)
        texts.append((line, entry.get("prompt")))
        asked.append(sorted(attributes))
    return evalcrafter(path, texts, asked)

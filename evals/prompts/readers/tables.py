"""Prompt sets in CSV: one's own, VideoPhy's and Physics-IQ's."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.errors import PromptError
from evals.prompts.document import MAX_FILE_BYTES
from evals.prompts.readers.common import id_of, listed, prompt, prompt_set, slug, text_of, words_of
from evals.records import Prompt, PromptSet

MORE = "\0more"  # the key of cells that no column has
YES = frozenset({"1", "1.0", "true", "yes"})


def table(path: Path) -> PromptSet:
    """A CSV file, by its header: the column `prompt` (or `text`) and perhaps `id`, `category`, `action`,
    `place`, `motion`, `camera` and `difficulty`; VideoPhy's with `caption`; else Physics-IQ's
    `descriptions.csv`. Raises `PromptError`."""
    header = _header(path)
    if {"prompt", "text"} & set(header):
        return own(path)
    return videophy(path) if "caption" in header else physics_iq(path)


def _header(path: Path) -> list[str]:
    csv.field_size_limit(MAX_FILE_BYTES)
    try:
        found = [name.strip() for name in next(csv.reader(io.StringIO(text_of(path), newline="")), [])]
    except csv.Error as error:
        raise PromptError(f"not valid CSV: {error}", path, 1) from None
    if not any(found):
        raise PromptError("holds no table: the first line names the columns, such as 'id,prompt'", path, 1)
    return found


def rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """A table's rows with the lines where they end. Raises `PromptError`."""
    header = _header(path)
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""), header, restkey=MORE, restval="")
    try:
        if lacks := [c for c in needed if c not in header]:
            raise PromptError(
                f"the header lacks {' and '.join(map(repr, lacks))} (columns are separated by commas); it has"
                f" {', '.join(map(repr, header)) or 'nothing'!s:.200}",
                path, 1,
            )  # fmt: skip
        next(reader, None)  # the header
        for row in reader:
            if MORE in row:
                raise PromptError(
                    f"a row has more than {len(header)} cells: a text with commas needs quotes round it",
                    path, reader.line_num,
                )  # fmt: skip
            yield reader.line_num, row
    except csv.Error as error:
        raise PromptError(f"not valid CSV: {error}", path, reader.line_num) from None


def own(path: Path) -> PromptSet:
    """A list of one's own, with the fields of a prompt that are one text. Raises `PromptError`."""
    columns = ("id", "prompt", "text", "category", "action", "place", "motion", "camera", "difficulty")
    found = ((line, {k: row[k] for k in columns if row.get(k)}) for line, row in rows(path, ()))
    return listed(path.stem, found, path)


def videophy(path: Path) -> PromptSet:
    """VideoPhy's or VideoPhy-2's CSV (Bansal et al. 2024, 2025), one row per video: of every `caption` one
    prompt is made, with the first row's `states_of_matter` or `action` as its category; `complexity` 1 and
    `is_hard` 1 are the difficulty `hard`. Raises `PromptError`."""
    made: dict[str, Prompt] = {}
    for line, row in rows(path, ("caption",)):
        text = words_of(row["caption"], path, "'caption' ", line)
        if text in made:
            continue
        fields: dict[str, Any] = {"id": id_of(text), "text": text}
        fields["category"] = (row.get("states_of_matter") or row.get("action") or "").strip() or "physics"
        level = (row.get("complexity") or row.get("is_hard") or "").strip().lower()
        if level:
            fields["difficulty"] = "hard" if level in YES else "easy"
        made[text] = prompt(fields, path, "", line)
    return prompt_set("videophy", made.values(), path, "MIT")


def physics_iq(path: Path) -> PromptSet:
    """Physics-IQ's `descriptions.csv` (Motamed et al. 2025): one prompt per generated video; ids are the
    videos' names. Raises `PromptError`."""
    made: dict[str, Prompt] = {}
    for line, row in rows(path, ("description", "generated_video_name")):
        video, text = row["generated_video_name"], row["description"]
        if not video or not text:
            raise PromptError("a row needs 'description' and 'generated_video_name'", path, line)
        if "_take-2_" in row.get("scenario", ""):
            continue  # a second take of the same: there to measure how much takes differ
        name = slug(Path(video).stem, len(video))
        if name in made and made[name].text != text.strip():
            raise PromptError(f"two videos would be called {name!r}, with different descriptions", path, line)
        category = row.get("category", "").strip() or "physics"
        made[name] = prompt({"id": name, "text": text, "category": category}, path, "", line)
    return prompt_set("physics-iq", made.values(), path, "CC-BY-4.0")

"""Plain folders: clips of any name, without a list of what they are of."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from evals.errors import ManifestError
from evals.generators.layouts import is_clip
from evals.records import Prompt, digest, explain, is_regular

MOST_WORDS = 20_000
"""Characters of a prompt that are read from a file beside a clip."""


def clips_in(folder: Path) -> list[Path]:
    """The clips that lie in the folder itself, by name; hidden files are left out."""
    return sorted(p for p in folder.glob("[!.]*") if is_clip(p))


def prompt_of(path: Path, from_name: bool) -> Prompt:
    """A clip's prompt: its words are in a `.txt` of its name beside it, or are its name, where that was asked
    for, or are not known. The id comes from the name alone, so that two folders' clips pair by it. Raises
    `ManifestError`."""
    name, beside = path.stem, path.with_suffix(".txt")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80].strip("-")
    prompt_id = slug if slug == name else f"{slug}-{digest(name)[:8]}".strip("-")
    words = _words(beside) if is_regular(beside) else ""
    if not words and from_name:
        words = re.sub(r"[\s_-]+", " ", name).strip()
    try:
        return Prompt(id=prompt_id, text=words or name, text_known=bool(words))
    except ValidationError as error:
        raise ManifestError(explain(error), beside if words else path) from None


def _words(path: Path) -> str:
    """A prompt's words, on one line. Raises `ManifestError`."""
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())[:MOST_WORDS]
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"is no UTF-8 text: {error}", path) from None


def remark(label: str, prompts: list[Prompt]) -> str:
    """What to know of clips whose prompts are not known; empty where all are."""
    unknown = sum(not prompt.text_known for prompt in prompts)
    if not unknown:
        return ""
    return (
        f"{label}: the prompts of {unknown} of {len(prompts)} clips are not known: metrics that read them are"
        " left out, and clips pair with other folders' by their names"
    )

"""Prompt sets: YAML with annotations, read safely, with errors that name file and line.

Plain lists do, too: a YAML list of texts, a `.txt` with one per line, JSON lines, CSV
(`evals.prompts.readers`).

::

    name: parks
    version: 1
    description: …
    licence: …
    prompts:
      - id: catch-with-dog            # [a-z0-9-]+
        text: Children play catch …
        category: play
        subjects: [{kind: child, count: 3, action: catch}, {kind: dog, action: chase, target: ball}]
        action: catch
        place: park
        motion: high                  # none | low | medium | high
        camera: static
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evals.errors import PromptError, UnknownName, UsageError
from evals.prompts import readers
from evals.prompts.document import Document
from evals.prompts.subsets import SIZES as SELECTIONS
from evals.records import ALL, Prompt, PromptSet, Question, Record, Rules, Subject, is_regular

_NESTED: dict[str, type[Record]] = {
    "prompts": Prompt, "subjects": Subject, "questions": Question, "rules": Rules,
}  # fmt: skip


def load(path: Path) -> PromptSet:
    """Read one prompt file: our YAML, or another suite's (`evals.prompts.readers`). Raises `PromptError`
    naming file and line."""
    if is_regular(path) and (other := readers.read_other(path)) is not None:
        return other
    document = Document(path, PromptError)
    data = document.data
    if isinstance(data, list):
        return readers.listed(path.stem, _listed(document, data), path)
    if not isinstance(data, dict):
        document.fail("a prompt file is a mapping with the keys 'name' and 'prompts'", ())
    prompts = data.get("prompts")
    if not isinstance(prompts, list) or not prompts:
        document.fail("'prompts' must be a list with at least one prompt", ("prompts",))
    seen: dict[str, int] = {}
    texts: dict[str, int] = {}
    for i, item in enumerate(prompts):
        line = document.line(("prompts", i))
        if not isinstance(item, dict):
            document.fail("a prompt is a mapping with at least 'id' and 'text'", ("prompts", i))
        for key, where in (("id", seen), ("text", texts)):
            value = str(item.get(key, "")).strip().casefold()
            if value and value in where:
                document.fail(f"{key} {value!r} was used before, on line {where[value]}", None, line)
            where[value] = line
    try:
        return PromptSet.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        location = [x for x in error.errors()[0]["loc"] if isinstance(x, str) and x in _NESTED]
        model = _NESTED[location[-1]] if location else PromptSet
        document.fail_validation(error, [model])


def _listed(document: Document, data: list[Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """A plain list of texts, or of mappings with `text`, by line."""
    for i, item in enumerate(data):
        if not isinstance(item, str | dict):
            document.fail("a list of prompts holds texts, or mappings with 'text'", (i,))
        yield document.line((i,)), {"text": item} if isinstance(item, str) else item


def builtin_folder() -> Path:
    """Where the standard sets lie: inside the installed package, or in the checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "prompt_sets"
    return packaged if packaged.is_dir() else package.parent / "prompts"


def builtin_names() -> list[str]:
    """Names of the standard sets."""
    return sorted(p.stem for p in builtin_folder().glob("*.yaml"))


def builtin() -> list[PromptSet]:
    """The standard sets."""
    return [load(builtin_folder() / f"{name}.yaml") for name in builtin_names()]


def find(name: str) -> Path:
    """A prompt set's file from a standard name or a path."""
    if name in builtin_names():
        return builtin_folder() / f"{name}.yaml"
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    raise UnknownName(
        "prompt set",
        name,
        [*builtin_names(), *SELECTIONS],
        "; or give the path of a .yaml, .txt (a prompt per line), .jsonl or .csv file …",
    )


def named(name: str) -> PromptSet:
    """The prompts that a name stands for: a standard set, a file, a subset or category of one of them
    (`physics:core`, `composition:counting`), the subset `core` or `mini` of all standard sets, or `all` of
    them. Raises `UnknownName` or `PromptError`."""
    if name == ALL:
        return merge(builtin(), name)
    if name in SELECTIONS:
        return merge([subset(found, name) for found in builtin()], name)
    owner, colon, part = name.rpartition(":")
    if colon and owner and not is_regular(Path(name)):
        return subset(load(find(owner)), part)
    return load(find(name))


def subset(found: PromptSet, name: str) -> PromptSet:
    """The prompts of a set that one of its `subsets` lists, or those of a category. Raises `UnknownName`."""
    categories = dict.fromkeys(prompt.category for prompt in found.prompts)
    if name not in found.subsets and name not in categories:
        raise UnknownName(f"subset or category of {found.name}", name, [*found.subsets, *categories])
    listed = found.subsets.get(name)
    kept = tuple(p for p in found.prompts if (p.category == name if listed is None else p.id in listed))
    if not kept:
        raise UsageError(f"the subset {name!r} of {found.name} names no prompts")
    return found.model_copy(update={"name": f"{found.name}:{name}", "prompts": kept, "subsets": {}})


def merge(sets: Iterable[PromptSet], name: str | None = None) -> PromptSet:
    """Several sets as one, called `name` (default: their names joined). A prompt that is in several of them
    is in the whole once; two different prompts with one id are an error."""
    sets = list(sets)
    if len(sets) == 1 and name is None:
        return sets[0]
    owner: dict[str, str] = {}
    kept: dict[str, Prompt] = {}
    for one in sets:
        for prompt in one.prompts:
            if kept.setdefault(prompt.id, prompt) != prompt:
                raise PromptError(
                    f"{owner[prompt.id]!r} and {one.name!r} have different prompts with the id {prompt.id!r}"
                )
            owner.setdefault(prompt.id, one.name)
    joined = "+".join(s.name for s in sets) if name is None else name
    return PromptSet(name=joined, prompts=tuple(kept.values()))

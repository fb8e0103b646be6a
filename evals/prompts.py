"""Prompt sets: YAML with annotations, read safely, with errors that name file and line.

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

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from evals import readers
from evals.errors import InputError, PromptError, UnknownName, nearest
from evals.records import Prompt, PromptSet, Question, Record, Subject, explain, is_regular

MAX_FILE_BYTES = 20_000_000
_NESTED: dict[str, type[Record]] = {"prompts": Prompt, "subjects": Subject, "questions": Question}

Loc = tuple[str | int, ...]


class Document:
    """A YAML file's data together with the line of every key."""

    def __init__(self, path: Path, error: type[InputError]) -> None:
        self.path, self.error = path, error
        if path.exists() and not is_regular(path):
            raise error("not a plain file", path)
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise error(f"larger than {MAX_FILE_BYTES:,} bytes", path)
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as problem:
            raise error(f"not UTF-8 text ({problem.reason})", path) from None
        except OSError as problem:
            raise error(f"cannot be read: {problem.strerror}", path) from None
        self.lines: dict[Loc, int] = {}
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
                raise error("YAML aliases are not supported", path)
            if node is not None:
                self._index(node, ())
            self.data: Any = yaml.safe_load(text)
        except yaml.MarkedYAMLError as problem:
            line = problem.problem_mark.line + 1 if problem.problem_mark else None
            raise error(f"not valid YAML: {problem.problem}", path, line) from None
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            raise error(f"not valid YAML: {str(problem) or type(problem).__name__}", path) from None

    def _index(self, node: yaml.Node, loc: Loc) -> None:
        self.lines.setdefault(loc, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                at = (*loc, str(key.value))
                if at in self.lines:
                    self.fail(f"key {key.value!r} occurs twice", None, key.start_mark.line + 1)
                self.lines[at] = key.start_mark.line + 1
                self._index(value, at)
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                self._index(item, (*loc, i))

    def line(self, loc: Loc) -> int:
        """The line of `loc`, or of the nearest thing around it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def fail(self, message: str, loc: Loc | None, line: int | None = None) -> NoReturn:
        raise self.error(message, self.path, line if loc is None else self.line(loc))

    def fail_validation(self, error: ValidationError, models: Sequence[type[Record]]) -> NoReturn:
        """Raise the first problem of `error`, in words, at its line."""
        found = error.errors()
        # A misspelt key explains a missing one.
        first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        loc = tuple(x for x in first["loc"] if isinstance(x, int) or not x.startswith("function-"))
        key = loc[-1] if loc else ""
        if first["type"] == "extra_forbidden":
            known = {name for model in models for name in model.model_fields}
            self.fail(f"unknown key {key!r}{nearest(str(key), known)}", loc)
        if first["type"] == "missing":
            self.fail(f"the key {key!r} is missing", loc[:-1])
        self.fail(explain(error).split("; ")[0], loc)


def load(path: Path) -> PromptSet:
    """Read one prompt file: our YAML, or another suite's (`evals.readers`). Raises `PromptError` naming file
    and line."""
    if is_regular(path) and (other := readers.read_other(path)) is not None:
        return other
    document = Document(path, PromptError)
    data = document.data
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


def builtin_folder() -> Path:
    """Where the standard sets lie: inside the installed package, or in the checkout."""
    packaged = Path(__file__).parent / "prompt_sets"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "prompts"


def builtin_names() -> list[str]:
    """Names of the standard sets."""
    return sorted(p.stem for p in builtin_folder().glob("*.yaml"))


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
        builtin_names(),
        "; or give the path of a .yaml file, of a .txt with a prompt per line, VBench_full_info.json …",
    )


def merge(sets: Iterable[PromptSet]) -> PromptSet:
    """Several sets as one; an id in two of them is an error."""
    sets = list(sets)
    if len(sets) == 1:
        return sets[0]
    owner: dict[str, str] = {}
    for one in sets:
        for prompt in one.prompts:
            if prompt.id in owner:
                raise PromptError(f"prompt id {prompt.id!r} is in both {owner[prompt.id]!r} and {one.name!r}")
            owner[prompt.id] = one.name
    return PromptSet(name="+".join(s.name for s in sets), prompts=tuple(p for s in sets for p in s.prompts))

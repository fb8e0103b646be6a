"""YAML documents with the line of every key, read safely, in one pass over the C parser's events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from evals.errors import InputError, nearest
from evals.records import Record, explain, is_regular

MAX_FILE_BYTES = 20_000_000
MAX_DEPTH = 64
_STR, _MAP, _SEQ = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))
_Loader: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # the same language, without C where it is missing

Loc = tuple[str | int, ...]


class Document:
    """A YAML file's `data` together with the line of every key. Raises `error` for a file that is no YAML,
    too large, nested too deeply, or uses aliases."""

    def __init__(self, path: Path, error: type[InputError]) -> None:
        self.path, self.error = path, error
        if path.exists() and not is_regular(path):
            raise error("not a plain file", path)
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise error(f"larger than {MAX_FILE_BYTES:,} bytes", path)
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as problem:
            undecodable = problem.object.count(b"\n", 0, problem.start) + 1
            raise error(f"not UTF-8 text ({problem.reason})", path, undecodable) from None
        except OSError as problem:
            raise error(f"cannot be read: {problem.strerror}", path) from None
        self.lines: dict[Loc, int] = {}
        try:
            self.data: Any = _Reader(self, text).read()
        except yaml.MarkedYAMLError as problem:
            line = problem.problem_mark.line + 1 if problem.problem_mark else None
            raise error(f"not valid YAML: {problem.problem}", path, line) from None
        except yaml.reader.ReaderError as problem:
            line = text.count("\n", 0, problem.position) + 1
            character = f"U+{problem.character:04X}" if isinstance(problem.character, int) else "a character"
            raise error(f"not valid YAML: holds {character}, which YAML does not allow", path, line) from None
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            said = "a number of thousands of digits" if "int_max_str_digits" in str(problem) else str(problem)
            raise error(f"not valid YAML: {said or type(problem).__name__}", path) from None

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


class _Reader:
    """Builds plain data from parser events, with a stack of its own: the C loader would run out of stack on
    deep nesting."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.loader = _Loader(text)

    def read(self) -> Any:
        """The document's data; None for an empty file. Raises `yaml.YAMLError`."""
        root: list[Any] = []
        stack: list[tuple[Loc, Any]] = [((), root)]  # where, and the list or dict that is being filled
        keys: list[str | None] = [None]  # the key that waits for its value, by level
        try:
            while self.loader.check_event():
                event = self.loader.get_event()
                if isinstance(event, yaml.AliasEvent):
                    raise self._error("aliases are not supported", event)
                if isinstance(event, yaml.CollectionEndEvent):
                    stack.pop()
                    keys.pop()
                elif isinstance(event, yaml.NodeEvent):
                    self._node(event, stack, keys, root)
        finally:
            self.loader.dispose()
        return root[0] if root else None

    def _node(self, event: Any, stack: list[Any], keys: list[Any], root: list[Any]) -> None:
        where, container = stack[-1]
        line = event.start_mark.line + 1
        if isinstance(container, dict) and keys[-1] is None:
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error("a key must be a plain value", event)
            keys[-1] = str(event.value)
            at = (*where, keys[-1])
            if at in self.document.lines:
                self.document.fail(f"key {keys[-1]!r} occurs twice", None, line)
            self.document.lines[at] = line
            container[self._hashable(event)] = None
            return
        if isinstance(container, dict):
            at, key = (*where, keys[-1]), next(reversed(container))
            keys[-1] = None
        elif container is root:
            if root:
                raise self._error("a file holds one document", event)
            at, key = (), None
        else:
            at, key = (*where, len(container)), None
        self.document.lines.setdefault(at, line)
        value = self._value(event)
        if key is None and not isinstance(container, dict):
            container.append(value)
        else:
            container[key] = value
        if not isinstance(event, yaml.ScalarEvent):
            if len(stack) > MAX_DEPTH:
                raise self._error(f"nested more than {MAX_DEPTH} levels deep", event)
            stack.append((at, value))
            keys.append(None)

    def _value(self, event: Any) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        sequence = isinstance(event, yaml.SequenceStartEvent)
        if event.tag not in (None, "!", _SEQ if sequence else _MAP):
            raise self._error(f"the tag {event.tag!r} is not supported", event)
        return [] if sequence else {}

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == _STR:
            return event.value
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        return self.loader.construct_object(node)

    def _hashable(self, event: Any) -> Any:
        key = self._scalar(event)
        hash(key)
        return event.value if isinstance(key, bool) else key  # `no` is Norwegian here

    @staticmethod
    def _error(message: str, event: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)

"""Names to components: lazy `"module:attribute"` tables that third parties can join.

A component joins by a line in its family's table, by `Registry.register` in a user's own file
(`--plugin FILE`), or by a Python entry point. A second component under one name is an error.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import ValidationError

from evals.errors import UnknownName, UsageError, nearest
from evals.records import Record, Spec, digest, explain, file_sha256, is_regular

T = TypeVar("T")
R = TypeVar("R", bound=Record)
_HASH = "__evals_sha256__"


class Registry:
    """One family of components (`generator`, `extractor`, `encoder`, `metric`)."""

    def __init__(self, kind: str, table: dict[str, str], group: str) -> None:
        self.kind, self.group = kind, group
        self._table: dict[str, Any] = dict(table)
        self._entry_points_read = False

    def _add(self, name: str, target: Any, origin: str) -> None:
        if name in self._table and self._table[name] is not target:
            raise UsageError(f"{origin} registers the {self.kind} {name!r}, which exists already")
        self._table[name] = target

    def _read_entry_points(self) -> None:
        if not self._entry_points_read:
            self._entry_points_read = True
            for point in importlib.metadata.entry_points(group=self.group):
                package = point.dist.name if point.dist else "an installed package"
                self._add(point.name, point.value, package)

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator for a user's own class: `@METRICS.register("my_metric")`."""

        if not isinstance(name, str) or not name:
            raise UsageError(f"a plugin registers a {self.kind} without a name: {name!r}")

        def add(component: T) -> T:
            self._add(name, component, "a plugin")
            return component

        return add

    def __iter__(self) -> Iterator[str]:
        self._read_entry_points()
        return iter(sorted(self._table))

    def get(self, name: str) -> Any:
        """The component called `name`; names with `*` in the table serve whole families."""
        self._read_entry_points()
        found = self._table.get(name)
        if found is None:
            patterns = [p for p in self._table if "*" in p and fnmatchcase(name, p)]
            if not patterns:
                raise UnknownName(self.kind, name, self._table)
            found = self._table[patterns[0]]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            return getattr(importlib.import_module(module), attribute)
        return found


def options_of(model: type[R], options: Mapping[str, str], given_by: str, kind: str) -> R:
    """A component's options, typed and checked. `given_by` is the option of the command line that gave them.
    Raises `UsageError`, which names the nearest one."""
    for key in options:
        if key not in model.model_fields:
            known = ", ".join(model.model_fields) or "none"
            raise UsageError(
                f"{given_by} {key}: {kind} has no such option{nearest(key, model.model_fields)}"
                f" (known: {known})"
            )
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        raise UsageError(f"{given_by}: {explain(error)}") from None


def with_code(component: T) -> T:
    """The component; where its class is not of this package, the SHA-256 of its code joins its spec, so that
    numbers of edited code never stand beside those of the old. A class whose source cannot be found, as in an
    interactive session, is taken as it is."""
    found = _code_sha256(type(component))
    spec = getattr(component, "spec", None)
    if found and isinstance(spec, Spec):
        params = {**spec.params, "code_sha256": found}
        object.__setattr__(component, "spec", spec.model_copy(update={"params": params}))
    return component


def _code_sha256(kind: type) -> str:
    """Of the files that a class and its bases outside of this package come from, and of the modules of the
    user's own that these hold; empty where all are ours."""
    hashes: dict[str, str] = {}
    for one in kind.__mro__:
        if _is_foreign(one.__module__):
            module = sys.modules.get(one.__module__)
            hashes[one.__module__] = getattr(module, _HASH, None) or _source_sha256(one)
            for helper in _helpers(module, set()):
                hashes.setdefault(helper.__name__, _file_sha256(helper))
    found = sorted({h for h in hashes.values() if h})
    return digest(found) if found else ""


def _is_foreign(module: str) -> bool:
    package = module.partition(".")[0]
    return package not in ("evals", "builtins") and package not in sys.stdlib_module_names


def _helpers(module: ModuleType | None, seen: set[str]) -> Iterator[ModuleType]:
    """Modules of the user's own whose names, or something of which, a module holds; packages that were
    installed go by their versions in the provenance."""
    for value in list(vars(module).values()) if module is not None else ():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        found = sys.modules.get(name) if isinstance(name, str) else None
        if found is None or found is module or name in seen or not _is_foreign(str(name)):
            continue
        file = getattr(found, "__file__", None)
        if file and not {"site-packages", "dist-packages"} & set(Path(file).parts):
            seen.add(str(name))
            yield found
            yield from _helpers(found, seen)


def _file_sha256(module: ModuleType) -> str:
    try:
        return getattr(module, _HASH, None) or file_sha256(Path(str(module.__file__)))
    except OSError:
        return ""


def _source_sha256(kind: type) -> str:
    try:
        file = inspect.getsourcefile(kind)
        if file and is_regular(Path(file)):
            return file_sha256(Path(file))
        return digest(inspect.getsource(kind))
    except (OSError, TypeError):
        return ""


def load_plugin(path: Path) -> None:
    """Import a user's Python file once, so that it can register components. A plugin is code."""
    try:
        path = path.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"plugin {path}: {error}") from None
    import_file(path, f"evals_plugin_{digest(str(path))[:12]}", f"plugin {path}")


def import_file(path: Path, name: str, called: str) -> ModuleType:
    """A user's Python file as a module, imported once under `name`. Raises `UsageError`, in which the file is
    `called` something."""
    if name in sys.modules:
        return sys.modules[name]
    if not is_regular(path):
        raise UsageError(f"{called}: no such file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{called}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        source = path.read_bytes()
        # What is hashed is what runs: a compiled file beside it may be of an older edit.
        setattr(module, _HASH, hashlib.sha256(source).hexdigest())
        exec(compile(source, str(path), "exec"), module.__dict__)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{called}: {type(error).__name__}: {error}") from error
    return module

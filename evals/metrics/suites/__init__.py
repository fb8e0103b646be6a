"""Suites: named lists of metrics, in YAML files beside this one or of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from evals.errors import ConfigError, UnknownName
from evals.prompts.document import Document
from evals.records import Record, Text

FOLDER = Path(__file__).parent


class Suite(Record):
    """`needs` says in words what the suite cannot do without."""

    name: Text
    version: int = 1
    description: str = ""
    needs: str = ""
    metrics: Annotated[tuple[Text, ...], Field(min_length=1)]


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load(name: str) -> Suite:
    """A suite by name or from a file. Raises `UnknownName` or `ConfigError` naming file and line."""
    if name in names():
        path = FOLDER / f"{name}.yaml"
    else:
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            raise UnknownName("suite", name, names(), "; or give the path of a .yaml file")
    document = Document(path, ConfigError)
    if not isinstance(document.data, dict):
        document.fail("a suite is a mapping with the keys 'name' and 'metrics'", ())
    try:
        suite = Suite.model_validate({"name": path.stem, **document.data})
    except ValidationError as error:
        document.fail_validation(error, [Suite])
    for i, metric in enumerate(suite.metrics):
        if metric in suite.metrics[:i]:
            document.fail(f"metric {metric!r} is listed twice", ("metrics", i))
    return suite

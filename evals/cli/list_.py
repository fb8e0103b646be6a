"""`list`: what there is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from evals.cli.options import PATH
from evals.cli.output import tell


@click.command(name="list")
@click.argument("what", type=click.Choice(["prompts", "generators", "encoders", "metrics", "suites"]))
@click.option(
    "--plugin",
    "plugins",
    type=PATH,
    multiple=True,
    help="Python file with components of your own; repeatable.",
)
def command(what: str, plugins: tuple[Path, ...]) -> int:  # fmt: skip
    """What there is: prompts, generators, encoders, metrics or suites."""
    from evals.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    for name, about in catalogue(what):
        tell(f"{name:32s} {about}")
    return 0


def catalogue(what: str) -> Iterator[tuple[str, str]]:
    """Names with what they are."""
    if what == "prompts":
        from evals import prompts

        for name in prompts.builtin_names():
            found = prompts.load(prompts.find(name))
            yield name, f"{len(found.prompts)} prompts: {found.description}"
    elif what == "suites":
        from evals.metrics import suites

        for name in suites.names():
            suite = suites.load(name)
            yield name, f"{len(suite.metrics)} metrics, needs {suite.needs}: {suite.description}"
    else:
        yield from _components(what)


def _components(what: str) -> Iterator[tuple[str, str]]:
    from evals.encoders import ENCODERS
    from evals.generators import GENERATORS
    from evals.metrics import METRICS

    registry = {"generators": GENERATORS, "encoders": ENCODERS, "metrics": METRICS}[what]
    for name in registry:
        component = registry.get(name)
        takes = getattr(component, "takes", None) if what == "metrics" else None
        shown = "ARCH/TAG" if name == "*/*" else name
        yield f"{shown}[{takes}]" if takes else shown, _first_sentence(component)


def _first_sentence(component: Any) -> str:
    text = " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."

"""`weights`: published weight files. Only `weights fetch` ever downloads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from evals.cli.output import say, tell, tell_json
from evals.errors import WeightsError

if TYPE_CHECKING:
    from evals.metrics.required import Published


@click.group(name="weights")
def command() -> None:
    """Published weight files: `list`, `fetch`, `verify`. Only `fetch` ever downloads."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> int:
    """Every published file and model: whether it is here, size, licence, what it is for."""
    from evals.encoders.hub import HUB_MODELS, pins
    from evals.encoders.published import WEIGHTS, folder

    every: list[Published] = [*WEIGHTS.values(), *HUB_MODELS.values()]
    if as_json:
        files = [
            {
                "name": one.name, "here": one.is_here(), "size": one.shown_size, "licence": one.licence,
                "use": one.use, "sha256": getattr(one, "sha256", None), "repo": getattr(one, "repo", None),
            }
            for one in every
        ]  # fmt: skip
        tell_json({"files": files, "folder": str(folder())}, indent=1)
        return 0
    for one in every:
        here = "here" if one.is_here() else "not here"
        tell(f"{one.name:26s} {here:9s} {one.shown_size or '–':14s} {one.licence}; {one.use}")
    for file in WEIGHTS.values():
        tell(f"{file.name}: {file.file}, sha256 {file.sha256}")
    for model in HUB_MODELS.values():
        pin = pins().get(model.repo, "the commit of the first fetch")
        tell(f"{model.name}: {model.repo} at {pin}")
    tell(f"folder: {folder()}; models of the hub are in its own cache")
    return 0


@command.command(name="fetch")
@click.argument("names", nargs=-1, required=True)
def fetch_all(names: tuple[str, ...]) -> int:
    """Download NAMES: weight files, encoders, or suites with all they need. Goes on where it stopped."""
    from evals.encoders import fetching, hub
    from evals.encoders.hub import HubModel

    wanted = {one.name: one for name in names for one in _meant(name)}
    for one in wanted.values():
        if isinstance(one, HubModel):
            path = hub.fetch(one)
        else:
            path = fetching.fetch(one.name, _Percent(one.name))
        tell(f"{one.name}: {path}")
    if not wanted:
        tell("nothing to fetch: no published weights are needed")
    return 0


def _meant(name: str) -> list[Published]:
    """What a name stands for: a file of the table, a suite, or an encoder. Raises `UnknownName`."""
    from evals.encoders import ENCODERS
    from evals.encoders.hub import HUB_MODELS
    from evals.encoders.published import WEIGHTS
    from evals.errors import UnknownName
    from evals.metrics import suites
    from evals.metrics.required import required

    if name in WEIGHTS:
        return [WEIGHTS[name]]
    if name in HUB_MODELS:
        return [HUB_MODELS[name]]
    if name in suites.names() or name.endswith((".yaml", ".yml")):
        return required(suites.load(name).metrics)
    try:
        found = ENCODERS.get(name).published(name)
    except UnknownName as error:
        known = [*WEIGHTS, *HUB_MODELS, *suites.names()]
        raise UnknownName("weight file, encoder or suite", name, known) from error
    return [found] if found is not None else []


class _Percent:
    """Shows how much of a file is there, on a terminal."""

    def __init__(self, name: str) -> None:
        self._name, self._shown = name, -1

    def __call__(self, done: int, size: int) -> None:
        percent = done * 100 // size
        if sys.stderr.isatty() and percent != self._shown:
            self._shown = percent
            click.echo(f"\r{self._name}: {percent} %", err=True, nl=percent == 100)


@command.command(name="verify")
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> int:
    """Check the files that are here (or NAMES) against their SHA-256."""
    from evals.encoders.published import WEIGHTS, entry, locate

    wrong = False
    for name in [entry(n).name for n in names] or [n for n, w in WEIGHTS.items() if w.is_here()]:
        try:
            tell(f"{name}: {locate(name)} has the right SHA-256")
        except WeightsError as error:
            wrong = True
            say(f"error: {error}")
    return 2 if wrong else 0

"""`list`: what there is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from evals.cli.options import PATH
from evals.cli.output import tell, tell_json

KINDS = ("prompts", "generators", "encoders", "judges", "metrics", "suites")


@click.command(name="list")
@click.argument("what", type=click.Choice(KINDS))
@click.option(
    "--plugin",
    "plugins",
    type=PATH,
    multiple=True,
    help="Python file with components of your own; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(what: str, plugins: tuple[Path, ...], as_json: bool) -> int:
    """What there is: prompts, generators, encoders, judges, metrics or suites."""
    from evals.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    found = list(_metrics() if what == "metrics" else catalogue(what))
    if as_json:
        tell_json(found, indent=1)
    elif what == "metrics":
        _print_metrics(found)
    else:
        for row in found:
            tell(f"{row['name']:32s} {row['about']}")
    return 0


def catalogue(what: str) -> Iterator[dict[str, Any]]:
    """Names with what they are."""
    if what == "prompts":
        from evals import prompts
        from evals.prompts.subsets import SIZES

        for name in prompts.builtin_names():
            found = prompts.load(prompts.find(name))
            about = f"{len(found.prompts)} prompts: {found.description}"
            yield {"name": name, "about": about, "version": found.version, "digest": found.digest}
        for name, size in SIZES.items():
            yield {"name": name, "about": f"{size} prompts of all these sets, chosen by rule."}
    elif what == "suites":
        from evals.metrics import suites

        for name in suites.names():
            suite = suites.load(name)
            about = f"{len(suite.metrics)} metrics, needs {suite.needs}: {suite.description}"
            yield {"name": name, "about": about, "metrics": list(suite.metrics)}
    else:
        from evals.encoders import ENCODERS
        from evals.generators import GENERATORS
        from evals.judges import JUDGES

        registry = {"generators": GENERATORS, "encoders": ENCODERS, "judges": JUDGES}[what]
        for name in registry:
            shown = "ARCH/TAG" if name == "*/*" else name
            yield {"name": shown, "about": _first_sentence(registry.get(name))}


USUAL = {"ENCODER": "dino", "ARCH/TAG": "ViT-B-32-quickgelu/openai"}
"""An extractor that stands for its kind, to ask a metric what it is."""


def _metrics() -> Iterator[dict[str, Any]]:
    """Every metric with what a reader must know of it, by aspect."""
    from evals.metrics import METRICS, create, suites
    from evals.records import ASPECTS

    in_suites = {name: {m.partition("[")[0] for m in suites.load(name).metrics} for name in suites.names()}
    found = []
    for name in METRICS:
        component = METRICS.get(name)
        takes = getattr(component, "takes", None)
        metric = create(f"{name}[{USUAL.get(takes, takes)}]" if takes else name)
        about = metric.about
        found.append({
            "name": f"{name}[{takes}]" if takes else name, "aspect": about.aspect, "role": about.role,
            "direction": about.direction, "unit": about.unit, "needs": takes or "frames",
            "rewarded_by": list(about.rewarded_by),
            "suites": [s for s, ids in in_suites.items() if name in ids],
            "source": about.source, "about": _first_sentence(component),
        })  # fmt: skip
    yield from sorted(found, key=lambda row: (ASPECTS.index(row["aspect"]), row["role"] != "primary"))


def _print_metrics(rows: Sequence[dict[str, Any]]) -> None:
    shown = ""
    for row in rows:
        if row["aspect"] != shown:
            shown = row["aspect"]
            tell(f"{shown}")
        arrow = {"higher": "↑", "lower": "↓", "none": " "}[row["direction"]]
        facts = [row["role"], row["unit"], ", ".join(row["suites"])]
        tell(f"  {row['name']} {arrow}  {'; '.join(fact for fact in facts if fact)}")
        tell(f"      {row['about']}")


def _first_sentence(component: Any) -> str:
    text = " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."

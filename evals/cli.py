"""The command line: arguments in, calls out. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, TextIO

import click

from evals.commands import distance, reference, validate, weight_files
from evals.errors import EvalsError, EvalsWarning, UsageError, nearest
from evals.options import (
    common,
    generating,
    metrics_of,
    normalize,
    path_type,
    plans_of,
    resources_of,
    retrying,
    scoring,
    view_of,
    weights,
)

SOME_FAILED, NOT_COMPARABLE, INTERRUPTED = 4, 3, 130


class _Group(click.Group):
    """Commands in the order of a day's work; a misspelt one names the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UsageError(f"unknown command {args[0]!r}{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="t2v-evals", prog_name="t2v-evals")
def cli() -> None:
    """Evaluate text-to-video models: scores with intervals, sample counts and verdicts."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point; turns errors into a sentence and an exit code."""
    warnings.showwarning = _show_warning
    try:
        code = cli.main(args=arguments, prog_name="t2v-evals", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except EvalsError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; what is done is kept, the same command goes on from here", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except (OSError, UnicodeError) as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except Exception as error:  # noqa: BLE001
        # Python's own exit code would read as "regression found".
        if "-v" in (arguments or sys.argv) or "--verbose" in (arguments or sys.argv):
            traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        click.echo(
            f"error: this should not happen: {message:.500} (-v shows where; please report it)", err=True
        )
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


_python_warning = warnings.showwarning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, EvalsWarning):
        click.echo(f"warning: {message}", err=True)
    else:
        _python_warning(message, category, filename, lineno, file, line)


@cli.command()
@click.option("--out", type=path_type, default=Path("reports/demo"), show_default=True, help="Report folder.")
@click.option("--per-set", type=click.IntRange(1, 40), default=8, show_default=True,
              help="Prompts of each of the three standard sets.")  # fmt: skip
@click.option("--videos", type=click.IntRange(0), default=6, show_default=True,
              help="Prompts whose videos the page shows.")  # fmt: skip
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@common
def demo(**o: Any) -> int:
    """A whole evaluation on simulated worlds with known flaws: no GPU, network, weights or videos needed."""
    from evals.demo import demo as run_demo
    from evals.progress import Bar
    from evals.report.tables import as_json, findings

    resources = resources_of(o)
    said = (lambda text: None) if o["quiet"] else (lambda text: click.echo(text, err=True))
    with Bar(o["quiet"]) as bar:
        made = run_demo(o["out"], o["per_set"], o["videos"], resources, bar, said)
    if o["as_json"]:
        click.echo(json.dumps(as_json(made.comparison), ensure_ascii=False))
    else:
        for warning in made.comparison.warnings:
            click.echo(f"warning: {warning}", err=True)
        for sentence in findings(made.comparison, of="sound"):
            click.echo(sentence)
        click.echo(f"report: {made.page}")
    if o["open_page"]:
        click.launch(str(made.page))
    return 0


@cli.command()
@generating
@scoring
@retrying
@common
def run(**o: Any) -> int:
    """Generate and score: the whole job for one generator. Run it again to resume."""
    from evals.progress import Bar
    from evals.run import dry_run, score_run

    resources = resources_of(o)
    metrics, view, plans = metrics_of(o), view_of(o), plans_of(o)
    if o["dry_run"]:
        return max([_say_plan(dry_run(plan, metrics, view, resources), o) for plan in plans])
    with Bar(o["quiet"]) as bar:
        made = _generated(plans, resources, bar, o)
        for one in made:
            score_run(one, metrics, view, resources, o["retry"], o["rescore"], bar)
    return max([_say_run(one.path, str(view), o) for one in made])


@cli.command()
@generating
@retrying
@common
def generate(**o: Any) -> int:
    """Make the videos only (or take in those of a folder)."""
    from evals.progress import Bar
    from evals.run import dry_run

    resources, plans = resources_of(o), plans_of(o)
    if o["dry_run"]:
        return max([_say_plan(dry_run(plan, None, None, resources), o) for plan in plans])
    with Bar(o["quiet"]) as bar:
        made = _generated(plans, resources, bar, o)
    return max([_say_run(one.path, None, o) for one in made])


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=path_type)
@scoring
@retrying
@common
def score(runs: tuple[Path, ...], **o: Any) -> int:
    """Score the videos of RUNS; what is scored already is not done again."""
    from evals.progress import Bar
    from evals.run import score_run
    from evals.rundir import RunDir

    resources = resources_of(o)
    metrics, view = metrics_of(o), view_of(o)
    opened = [RunDir(path) for path in runs]
    _break_locks(o, *runs)
    with Bar(o["quiet"]) as bar:
        for one in opened:
            score_run(one, metrics, view, resources, o["retry"], o["rescore"], bar)
    return max([_say_run(path, str(view), o) for path in runs])


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=path_type)
@click.option(
    "--reference", type=path_type, help="Run, folder of clips or file of statistics to measure distances to."
)
@click.option(
    "--match",
    type=click.Choice(["none", "category", "prompt"]),
    default="none",
    help="Measure distances on content that both sides have.",
)
@click.option(
    "--out", type=path_type, default=Path("reports/comparison"), show_default=True, help="Report folder."
)
@click.option("--videos", default=24, show_default=True, help="Prompts whose videos the page shows.")
@click.option("--view", "terms", type=click.Choice(["vbench"]), help="Print it in another suite's terms.")
@click.option("--submission", type=path_type, help="With --view vbench: write its result files there.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@weights
@normalize
@common
def compare(runs: tuple[Path, ...], **o: Any) -> int:
    """Compare RUNS: means with intervals, paired differences, verdicts, and a report."""
    from evals.report import write
    from evals.report.tables import as_json, findings, unmeasured
    from evals.report.views import vbench_view
    from evals.run import compare_runs

    resources = resources_of(o)
    weights = {k: Path(v) for k, v in o["weights"].items()}
    view = view_of(o) if o["normalize"] else None
    found = compare_runs(runs, view, o["reference"], o["out"], weights, resources, o["match"])
    if o["submission"] and o["terms"] is None:
        raise UsageError("--submission needs --view vbench")
    terms = vbench_view(found, o["out"], o["submission"]) if o["terms"] else None
    with resources.pool() as pool:
        page = write(found, o["out"], pool if o["videos"] > 0 else None, o["videos"])
    if o["as_json"]:
        click.echo(json.dumps(as_json(found), ensure_ascii=False))
    else:
        if view is None and found.view != "native":
            click.echo(f"videos scored: {found.view}, as no other view is in all of these runs", err=True)
        for warning in found.warnings:
            click.echo(f"warning: {warning}", err=True)
        for sentence in [terms] if terms else findings(found):
            click.echo(sentence)
        if hint := unmeasured(found):
            click.echo(hint, err=True)
        click.echo(f"report: {page}")
    if o["open_page"]:
        click.launch(str(page))
    nothing = len(found.pairs) > 0 and not found.pairs["n_pairs"].any()
    return NOT_COMPARABLE if nothing else 0


@cli.command()
@click.argument("run_path", metavar="RUN", type=path_type)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(run_path: Path, as_json: bool) -> int:
    """What is in RUN, what is missing, what failed and why."""
    from evals import overview

    facts = overview.describe(run_path)
    click.echo(json.dumps(facts, indent=1, ensure_ascii=False) if as_json else overview.as_text(facts))
    return 0


@cli.command(name="list")
@click.argument("what", type=click.Choice(["prompts", "generators", "encoders", "metrics", "suites"]))
@click.option("--plugin", "plugins", type=path_type, multiple=True, help="Python file with own components.")
def list_(what: str, plugins: tuple[Path, ...]) -> int:
    """What there is: prompts, generators, encoders, metrics or suites."""
    from evals import overview
    from evals.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    for name, about in overview.catalogue(what):
        click.echo(f"{name:32s} {about}")
    return 0


cli.add_command(reference)
cli.add_command(distance)
cli.add_command(weight_files)
cli.add_command(validate)


@cli.command()
@click.argument("path", type=path_type, default=Path("eval.yaml"))
def init(path: Path) -> int:
    """Write a commented configuration file to PATH."""
    from evals import overview

    overview.write_config(path)
    click.echo(f"wrote {path}; use it with: t2v-evals run --config {path}")
    return 0


@cli.command()
def doctor() -> int:
    """What can run on this machine, and what is missing."""
    from evals import overview

    for line in overview.check_machine():
        click.echo(line)
    return 0


def _generated(plans: list[Any], resources: Any, bar: Any, o: dict[str, Any]) -> list[Any]:
    """The runs of all plans, one after the other or in turn."""
    from evals.run import generate_in_turn, generate_run

    _break_locks(o, *(plan.folder for plan in plans))
    if o["interleave"]:
        return generate_in_turn(plans, resources, o["interleave"], bar)
    return [generate_run(plan, resources, bar)[0] for plan in plans]


def _break_locks(o: dict[str, Any], *folders: Path) -> None:
    if o["break_lock"]:
        from evals.lock import break_lock

        for folder in folders:
            break_lock(folder)


def _say_run(path: Path, view: str | None, o: dict[str, Any]) -> int:
    from evals import overview

    facts = overview.describe(path, view)
    click.echo(json.dumps(facts, ensure_ascii=False) if o["as_json"] else overview.one_line(facts))
    return SOME_FAILED if facts["failed"] else 0


def _say_plan(facts: dict[str, Any], o: dict[str, Any]) -> int:
    if o["as_json"]:
        click.echo(json.dumps(facts))
    else:
        for key, value in facts.items():
            click.echo(f"{key.replace('_', ' '):20s} {value}")
    return 0

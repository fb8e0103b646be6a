"""The command line: arguments in, calls out. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import click

from evals.errors import ConfigError, EvalsError, EvalsWarning, UsageError, nearest

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


# --- options -------------------------------------------------------------------------------------


def _config(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Keys of a configuration file become the options' defaults."""
    if value is None:
        return
    from evals.prompts import Document

    document = Document(value, ConfigError)
    data = document.data or {}
    if not isinstance(data, dict):
        document.fail("a configuration is a mapping of option names to values", ())
    names = {p.name: p for c in cli.commands.values() for p in c.params if isinstance(p, click.Option)}
    names.pop("config", None)
    found: dict[str, Any] = {}
    for key, setting in data.items():
        name = str(key).replace("-", "_")
        if name not in names:
            document.fail(f"unknown key {key!r}{nearest(str(key), [str(n) for n in names])}", (str(key),))
        if isinstance(setting, dict):
            setting = [f"{k}={v}" for k, v in setting.items()]
        elif isinstance(setting, list) and not names[name].multiple:
            setting = ",".join(str(x) for x in setting)
        elif names[name].multiple and not isinstance(setting, list):
            setting = [str(setting)]
        found[name] = setting
    ctx.default_map = {**(ctx.default_map or {}), **found}


def _pairs(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        key, equals, setting = value.partition("=")
        if not equals or not key or not setting:
            raise UsageError(f"{parameter.opts[-1]} {value}: write KEY=VALUE")
        if key in found:
            raise UsageError(f"{parameter.opts[-1]} {key}: is given twice")
        found[key] = setting
    return found


def _seeds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        if "," not in value:
            count = int(value)
            if count < 1:
                raise ValueError
            return list(range(count))
        return [int(x) for x in value.split(",") if x.strip()]
    except ValueError:
        raise UsageError(f"--seeds {value}: write a count (3: seeds 0, 1, 2) or a list (7,8)") from None


def _size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {value}: write WIDTHxHEIGHT, such as 832x480")
    return int(width), int(height)


def _several(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_path = click.Path(path_type=Path)
_common = _several(
    click.option("--config", type=_path, callback=_config, is_eager=True, expose_value=False,
                 help="YAML file with any of these options; see `init`."),
    click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes (default: one per core)."),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 … for encoders."),
    click.option("--time-limit", type=click.FloatRange(0.1), help="Seconds of decoding allowed per video."),
    click.option("--stall-limit", type=click.FloatRange(0.1), help="Seconds a decoder may be silent."),
    click.option("--memory-limit", type=click.FloatRange(0.5), help="GiB a decoder process may use."),
    click.option("--plugin", "plugins", type=_path, multiple=True, help="Python file with own components."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    click.option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
)  # fmt: skip
_generating = _several(
    click.option("--generator", required=True, help="KIND:ARGUMENT, such as folder:clips/modelA."),
    click.option("-o", "options", multiple=True, callback=_pairs, metavar="KEY=VALUE",
                 help="Generator option."),
    click.option("--prompts", help="Prompt sets, names or files, with commas between them."),
    click.option("--seeds", callback=_seeds, help="How many seeds (3: 0, 1, 2), or a list (7,8)."),
    click.option("--prompt-id", "prompt_ids", multiple=True, help="Only this prompt; repeatable."),
    click.option("--limit", type=click.IntRange(1), help="Only the first N prompts."),
    click.option("--frames", type=click.IntRange(1), help="Frames asked for."),
    click.option("--fps", type=click.FloatRange(0.1), help="Frame rate asked for."),
    click.option("--seconds", type=click.FloatRange(0.1), help="Length asked for; with --fps."),
    click.option("--size", callback=_size, help="Size asked for, WIDTHxHEIGHT."),
    click.option("--out", type=_path, default=Path("runs"), show_default=True, help="Where runs are kept."),
    click.option("--name", help="The run's name (default: after the generator)."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
)  # fmt: skip
_retrying = click.option(
    "--retry", type=click.Choice(["none", "transient", "all"]), default="transient", show_default=True,
    help="Which failures to try again.",
)  # fmt: skip
_weights = click.option(
    "--weights", multiple=True, callback=_pairs, metavar="ENCODER=PATH", help="Local weights of an encoder."
)
_normalize = click.option(
    "--normalize", metavar="VIEW", help="Score all videos alike: fps=8,seconds=2,short_side=256."
)
_scoring = _several(
    click.option("--suite", default=None, help="Suite name or file (default: quick)."),
    click.option("--metrics", help="Metric ids with commas between them, instead of a suite."),
    _weights,
    _normalize,
    click.option("--rescore", is_flag=True, help="Compute scores again from the stored rows."),
)


def _resources(options: dict[str, Any]) -> Any:
    """Take the common options out of a command's arguments."""
    from evals.registry import load_plugin
    from evals.run import Resources
    from evals.video import Limits

    level = logging.INFO if options.pop("verbose") else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    plugins = options.pop("plugins")
    for plugin in plugins:
        load_plugin(plugin)
    bounds = {"seconds": options.pop("time_limit"), "stall": options.pop("stall_limit")}
    memory = options.pop("memory_limit")
    given = {k: v for k, v in bounds.items() if v is not None}
    if memory is not None:
        given["memory"] = int(memory * 2**30)
    return Resources(options.pop("workers"), options.pop("device"), Limits(**given), plugins)


def _plan(o: dict[str, Any]) -> Any:
    """The generating options as a plan."""
    from evals import generators, prompts
    from evals.records import Settings
    from evals.run import Plan, default_name

    frames = o["frames"]
    if o["seconds"] is not None:
        if frames is not None or o["fps"] is None:
            raise UsageError("--seconds needs --fps, and no --frames")
        frames = max(1, round(o["seconds"] * o["fps"]))
    width, height = o["size"] or (None, None)
    generator = generators.create(o["generator"], o["options"])
    names = [n.strip() for n in (o["prompts"] or "").split(",") if n.strip()]
    return Plan(
        generator=generator,
        folder=o["out"] / (o["name"] or default_name(generator.label)),
        prompts=prompts.merge(prompts.load(prompts.find(n)) for n in names) if names else None,
        seeds=o["seeds"],
        settings=Settings(width=width, height=height, frames=frames, fps=o["fps"]),
        prompt_ids=o["prompt_ids"],
        limit=o["limit"],
        retry=o["retry"],
    )


def _metrics(o: dict[str, Any]) -> Any:
    """The scoring options as metrics, ready to work."""
    from evals import score, suites

    if o["metrics"] and o["suite"]:
        raise UsageError("--metrics and --suite exclude each other; a suite file can list both")
    if o["metrics"]:
        ids = list(dict.fromkeys(m.strip() for m in o["metrics"].split(",") if m.strip()))
    else:
        ids = list(suites.load(o["suite"] or "quick").metrics)
    return score.prepare(ids, {k: Path(v) for k, v in o["weights"].items()})


def _view(o: dict[str, Any]) -> Any:
    from evals.records import View

    return View.parse(o["normalize"] or "native")


# --- commands ------------------------------------------------------------------------------------


@cli.command()
@_generating
@_scoring
@_retrying
@_common
def run(**o: Any) -> int:
    """Generate and score: the whole job for one generator. Run it again to resume."""
    from evals.progress import Bar
    from evals.run import dry_run, generate_run, score_run

    resources = _resources(o)
    metrics, view, plan = _metrics(o), _view(o), _plan(o)
    if o["dry_run"]:
        return _say_plan(dry_run(plan, metrics, view, resources), o)
    with Bar(o["quiet"]) as bar:
        made, _ = generate_run(plan, resources, bar)
        score_run(made, metrics, view, resources, o["retry"], o["rescore"], bar)
    return _say_run(made.path, str(view), o)


@cli.command()
@_generating
@_retrying
@_common
def generate(**o: Any) -> int:
    """Make the videos only (or take in those of a folder)."""
    from evals.progress import Bar
    from evals.run import dry_run, generate_run

    resources, plan = _resources(o), _plan(o)
    if o["dry_run"]:
        return _say_plan(dry_run(plan, None, None, resources), o)
    with Bar(o["quiet"]) as bar:
        made, _ = generate_run(plan, resources, bar)
    return _say_run(made.path, None, o)


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=_path)
@_scoring
@_retrying
@_common
def score(runs: tuple[Path, ...], **o: Any) -> int:
    """Score the videos of RUNS; what is scored already is not done again."""
    from evals.progress import Bar
    from evals.run import score_run
    from evals.rundir import RunDir

    resources = _resources(o)
    metrics, view = _metrics(o), _view(o)
    opened = [RunDir(path) for path in runs]
    with Bar(o["quiet"]) as bar:
        for one in opened:
            score_run(one, metrics, view, resources, o["retry"], o["rescore"], bar)
    return max([_say_run(path, str(view), o) for path in runs])


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=_path)
@click.option("--reference", type=_path, help="Run or folder of clips to measure distances to.")
@click.option(
    "--out", type=_path, default=Path("reports/comparison"), show_default=True, help="Report folder."
)
@click.option("--videos", default=24, show_default=True, help="Prompts whose videos the page shows.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@_weights
@_normalize
@_common
def compare(runs: tuple[Path, ...], **o: Any) -> int:
    """Compare RUNS: means with intervals, paired differences, verdicts, and a report."""
    from evals.report import write
    from evals.report.tables import as_json, findings
    from evals.run import compare_runs

    resources = _resources(o)
    weights = {k: Path(v) for k, v in o["weights"].items()}
    view = _view(o) if o["normalize"] else None
    found = compare_runs(runs, view, o["reference"], o["out"], weights, resources)
    with resources.pool() as pool:
        page = write(found, o["out"], pool if o["videos"] > 0 else None, o["videos"])
    if o["as_json"]:
        click.echo(json.dumps(as_json(found), ensure_ascii=False))
    else:
        for warning in found.warnings:
            click.echo(f"warning: {warning}", err=True)
        for sentence in findings(found):
            click.echo(sentence)
        click.echo(f"report: {page}")
    if o["open_page"]:
        click.launch(str(page))
    verdicts = set(found.pairs["verdict"])
    return NOT_COMPARABLE if verdicts == {"not comparable"} else 0


@cli.command()
@click.argument("run_path", metavar="RUN", type=_path)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(run_path: Path, as_json: bool) -> int:
    """What is in RUN, what is missing, what failed and why."""
    from evals import overview

    facts = overview.describe(run_path)
    click.echo(json.dumps(facts, indent=1, ensure_ascii=False) if as_json else overview.as_text(facts))
    return 0


@cli.command(name="list")
@click.argument("what", type=click.Choice(["prompts", "generators", "encoders", "metrics", "suites"]))
@click.option("--plugin", "plugins", type=_path, multiple=True, help="Python file with own components.")
def list_(what: str, plugins: tuple[Path, ...]) -> int:
    """What there is: prompts, generators, encoders, metrics or suites."""
    from evals import overview
    from evals.registry import load_plugin

    for plugin in plugins:
        load_plugin(plugin)
    for name, about in overview.catalogue(what):
        click.echo(f"{name:32s} {about}")
    return 0


@cli.command()
@click.argument("path", type=_path, default=Path("eval.yaml"))
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

"""Options of the command line, and what they mean: arguments to plans, metrics, views and resources."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evals.errors import ConfigError, UsageError, nearest


def _commands(ctx: click.Context) -> list[click.Command]:
    group = ctx.find_root().command
    return list(group.commands.values()) if isinstance(group, click.Group) else [ctx.command]


def config_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Keys of a configuration file become the options' defaults."""
    if value is None:
        return
    from evals.prompts import Document

    document = Document(value, ConfigError)
    data = document.data or {}
    if not isinstance(data, dict):
        document.fail("a configuration is a mapping of option names to values", ())
    names = {p.name: p for c in _commands(ctx) for p in c.params if isinstance(p, click.Option)}
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


def key_values(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        key, equals, setting = value.partition("=")
        if not equals or not key or not setting:
            raise UsageError(f"{parameter.opts[-1]} {value}: write KEY=VALUE")
        if key in found:
            raise UsageError(f"{parameter.opts[-1]} {key}: is given twice")
        found[key] = setting
    return found


def seeds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
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


def size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {value}: write WIDTHxHEIGHT, such as 832x480")
    return int(width), int(height)


def several(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


path_type = click.Path(path_type=Path)
common = several(
    click.option("--config", type=path_type, callback=config_file, is_eager=True, expose_value=False,
                 help="YAML file with any of these options; see `init`."),
    click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes (default: one per core)."),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 … for encoders."),
    click.option("--time-limit", type=click.FloatRange(0.1), help="Seconds of decoding allowed per video."),
    click.option("--stall-limit", type=click.FloatRange(0.1), help="Seconds a decoder may be silent."),
    click.option("--memory-limit", type=click.FloatRange(0.5), help="GiB a decoder process may use."),
    click.option("--plugin", "plugins", type=path_type, multiple=True, help="File with own components."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    click.option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
)  # fmt: skip
generating = several(
    click.option("--generator", required=True, help="KIND:ARGUMENT, such as folder:clips/modelA."),
    click.option("-o", "options", multiple=True, callback=key_values, metavar="KEY=VALUE",
                 help="Generator option."),
    click.option("--prompts", help="Prompt sets, names or files, with commas between them."),
    click.option("--seeds", callback=seeds, help="How many seeds (3: 0, 1, 2), or a list (7,8)."),
    click.option("--prompt-id", "prompt_ids", multiple=True, help="Only this prompt; repeatable."),
    click.option("--limit", type=click.IntRange(1), help="Only the first N prompts."),
    click.option("--frames", type=click.IntRange(1), help="Frames asked for."),
    click.option("--fps", type=click.FloatRange(0.1), help="Frame rate asked for."),
    click.option("--seconds", type=click.FloatRange(0.1), help="Length asked for; with --fps."),
    click.option("--size", callback=size, help="Size asked for, WIDTHxHEIGHT."),
    click.option("--out", type=path_type, default=Path("runs"), help="Where runs are kept (default: runs)."),
    click.option("--name", help="The run's name (default: after the generator)."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
)  # fmt: skip
retrying = click.option(
    "--retry", type=click.Choice(["none", "transient", "all"]), default="transient", show_default=True,
    help="Which failures to try again.",
)  # fmt: skip
weights = click.option(
    "--weights",
    multiple=True,
    callback=key_values,
    metavar="ENCODER=PATH",
    help="Local weights of an encoder.",
)
normalize = click.option(
    "--normalize", metavar="VIEW", help="Score all videos alike: fps=8,seconds=2,short_side=256."
)
scoring = several(
    click.option("--suite", default=None, help="Suite name or file (default: quick)."),
    click.option("--metrics", help="Metric ids with commas between them, instead of a suite."),
    weights,
    normalize,
    click.option("--rescore", is_flag=True, help="Compute scores again from the stored rows."),
)


def resources_of(options: dict[str, Any]) -> Any:
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


def plan_of(o: dict[str, Any]) -> Any:
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


def metrics_of(o: dict[str, Any]) -> Any:
    """The scoring options as metrics, ready to work."""
    from evals import score, suites

    if o["metrics"] and o["suite"]:
        raise UsageError("--metrics and --suite exclude each other; a suite file can list both")
    if o["metrics"]:
        ids = list(dict.fromkeys(m.strip() for m in o["metrics"].split(",") if m.strip()))
    else:
        ids = list(suites.load(o["suite"] or "quick").metrics)
    return score.prepare(ids, {k: Path(v) for k, v in o["weights"].items()})


def view_of(o: dict[str, Any]) -> Any:
    from evals.records import View

    return View.parse(o["normalize"] or "native")
